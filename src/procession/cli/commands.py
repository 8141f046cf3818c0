"""The commands, as click has them. Each imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from procession import __version__
from procession.cli import arguments

if TYPE_CHECKING:
    from procession.observe.families import Survey
    from procession.observe.forest import Node

__all__ = ["execute", "procession"]

_PLAIN_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_PLAIN_HELP)
@click.version_option(__version__)
def procession() -> None:
    """Run programs that start processes, and see the processes that they start.

    \b
      procession run wordcount.py      run a program; nothing it starts is left when it ends
      procession ps                    the families of processes on this machine
      procession tree                  the same, as trees
    """


def execute(prog_name: str) -> int:
    """Do what the command line says; the exit status. A mistake in it is told in one line."""
    try:
        return int(procession(prog_name=prog_name, standalone_mode=False) or 0)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # (click before 8.2 has no such class, and prints the help itself)
            click.echo(error.format_message(), err=True)
            return 2
        context = getattr(error, "ctx", None)
        where = context.command_path if context else prog_name
        click.echo(f"{where}: {error.format_message()} (see {where} --help)", err=True)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # whoever read us has seen enough
        sys.stdout = None
        return 0


class _RunCommand(click.Command):
    """Ends the options where python ends them: at the script, at -m or at -c. What follows is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours, rest = arguments.split(args)
        ctx.meta["program"] = rest
        return super().parse_args(ctx, ours)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] (SCRIPT | -m MODULE | -c CODE) [ARGS]...")


@procession.command(cls=_RunCommand, options_metavar="[OPTIONS]", add_help_option=True)
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
@click.option("--report", metavar="FILE", type=click.Path(), help="Write the summary as JSON to FILE.")
@click.pass_context
def run(ctx: click.Context, quiet: bool, report: str | None) -> None:
    """Run a Python program as the root of a family of processes.

    SCRIPT is a file, a directory or zip file with a __main__.py, or - for standard input; -m and -c are python's. The
    program
    runs as it does under python, with the same arguments, path and exit status, but `multiprocessing` is procession:
    processes start faster and none is left behind. All options come before the program.

    Signals are passed on to the program. When it ends, everything that it started and that is still there is ended,
    but for
    processes that it detached on purpose. If this command is killed, the program and all below it die with it. It reaps
    every orphan, so it can be the first process of a container.

    \b
    Exit status: the program's own; 128 + N if signal N ended it; 2 if there is no such program.

    At the end a summary goes to standard error: processes started, alive at once, failed, killed and left over, by
    name; the
    time that they spent running, ready (waiting for a processor) and blocked (waiting for anything else); peak memory.

    \b
    The keys of the JSON report (all times in seconds, memory in KiB):
      version, family, program, kind ("script", "module", "code"), pid, exit_status, signal, wall_seconds,
      started, most_alive, failed, killed, left_over,
      running_seconds, ready_seconds, blocked_seconds, cpu_seconds, peak_kib,
      processes: [name, pid, end ("failed", "killed", "terminated", "left over"), exit_code, signal,
                  running_seconds, peak_kib] of those that ended badly, the last 256
    """
    from procession.cli import runner

    kind, words = ctx.meta["program"] or ("script", [])
    if not words:
        raise click.UsageError(f"no {kind} to run is given", ctx)
    runner.finish(runner.run_checked(arguments.Wanted(kind, words[0], words[1:], quiet, report)))


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@procession.command()
@_json
def ps(as_json: bool) -> None:
    """List the families of processes on this machine.

    Read from outside, from each family's process table and from /proc: the programs do not notice. Each process with
    pid,
    parent, name, state (running, ready, blocked, stopped), CPU time, memory (its share: PSS), age, and what it waits
    for.
    procession's own helpers (runner, guard, zygotes, spares that stand ready) are shown dimmed.

    Below them, zombies of other programs: processes that have ended, and whose parent has not waited for them.
    """
    from procession.observe.families import survey

    seen = survey()
    if as_json:
        _print_json(seen, [[_facts(m.stat, m) for _, m in sorted(f.members.items())] for f in seen.families])
        return
    from procession.cli import tables

    paint = tables.Paint()
    if not seen.families:
        click.echo("no family of processes is running")
    _print(tables.process_lines(seen, paint))
    _print_rest(seen, paint)


@procession.command()
@click.argument("pid", required=False)
@_json
def tree(pid: str | None, as_json: bool) -> None:
    """Draw the families as trees, plain programs that their members started among them.

    With PID, only the tree below that process, which can be any process.
    """
    from procession.observe import forest
    from procession.observe.families import survey

    number = None if pid is None else _pid(pid)
    seen = survey()
    if number is None:
        trees = [forest.family_roots(seen, family) for family in seen.families]
    else:
        node = forest.tree_of(seen, number)
        if node is None:
            raise click.UsageError(f"there is no process {number}")
        trees = [[node]]
    _print_trees(seen, trees, as_json, number is None)


@procession.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes this command's words in a shell.

    \b
      bash:  eval "$(procession completion bash)"                  in ~/.bashrc
      zsh:   eval "$(procession completion zsh)"                   in ~/.zshrc
      fish:  procession completion fish > ~/.config/fish/completions/procession.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(procession, {}, "procession", "_PROCESSION_COMPLETE").source())


def _pid(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise click.UsageError(f"{text!r} is not a process id")
    return int(text)


def _facts(stat: Any, member: Any) -> dict[str, Any]:
    from procession.observe.forest import describe

    return describe(stat, member)


def _print_trees(seen: Survey, trees: list[list[Node]], as_json: bool, whole: bool) -> None:
    if as_json:
        nested = [[_nested(node) for node in nodes] for nodes in trees]
        if whole:
            _print_json(seen, nested)
        else:
            click.echo(json.dumps(nested[0][0], indent=2))
        return
    from procession.cli import tables

    paint = tables.Paint()
    if whole and not trees:
        click.echo("no family of processes is running")
    for nodes in trees:
        for node in nodes:
            _print(tables.tree_lines(node, paint))
        if whole and nodes:
            click.echo()
    if whole:
        _print_rest(seen, paint)


def _nested(node: Node) -> dict[str, Any]:
    return {**_facts(node.stat, node.member), "children": [_nested(child) for child in node.children]}


def _print_json(seen: Survey, processes: list[list[Any]]) -> None:
    from procession.observe.forest import foreign_zombies

    families = [
        {"family": family.id, **_counts(family.header), "processes": rows}
        for family, rows in zip(seen.families, processes, strict=True)
    ]
    zombies = [
        {
            "pid": z.stat.pid, "name": z.stat.name, "parent": z.stat.parent,
            "parent_name": z.parent.name if z.parent else None,
        }
        for z in foreign_zombies(seen)
    ]  # fmt: skip
    told = {"families": families, "zombies": zombies, "unreadable": seen.unreadable, "refused": seen.refused}
    click.echo(json.dumps(told, indent=2))


def _counts(header: Any) -> dict[str, int]:
    return {key: getattr(header, key) for key in ("started", "most_alive", "failed", "killed", "left_over")}


def _print_rest(seen: Survey, paint: Any) -> None:
    from procession.cli import tables
    from procession.observe.forest import foreign_zombies

    _print(tables.zombie_lines(foreign_zombies(seen), paint))
    for note in tables.notes(seen):
        print(note, file=sys.stderr)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
