"""The command `procession`: run, ps, tree, completion. What is printed and parsed is here, what is seen is `observe`'s.

    arguments   what `procession run` is asked to do, and the checks before anything starts
    runner      the runner: starts the program, passes signals on, reaps, ends what is left
    program     the program's side of the start
    guard       ends the family if the runner itself is killed
    summary     what the family did, as text and as JSON
    commands    everything with click: the commands, their help, completion
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

__all__ = ["main"]


def main(prog_name: str | None = None) -> NoReturn:
    """The entry point. Ends the process with the command's exit status; 2 for a wrong use of it."""
    words = sys.argv[1:]
    if words[:1] == ["run"] and "_PROCESSION_COMPLETE" not in os.environ:
        from procession.cli import arguments

        wanted = arguments.quick(words[1:])  # None: anything unusual, which is click's to tell
        if wanted is not None:
            from procession.cli import runner

            runner.finish(runner.run_checked(wanted))
    from procession.cli import commands

    sys.exit(commands.execute(prog_name or "procession"))
