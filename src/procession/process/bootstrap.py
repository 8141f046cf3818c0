"""A child's life in Python, from the moment it knows which process it is to its exit code.

The steps are those of `multiprocessing`'s BaseProcess (see docs/differences.md). What has nothing to do is not called: in a new
process each call writes pages of memory that must be copied first.
"""

from __future__ import annotations

import io
import itertools
import sys
from typing import TYPE_CHECKING, Any

from procession import _native
from procession.core import coroutines, forkhooks
from procession.core.stdlib import mp_process, mp_threading, mp_util

if TYPE_CHECKING:
    from procession.process.process import Process

__all__ = ["count_anew", "live", "rehearse", "report", "set_fresh"]

_fresh = False


def set_fresh(fresh: bool) -> None:
    """In a zygote, and so in its children until they fork: nobody has started or named a process here."""
    global _fresh
    _fresh = fresh


forkhooks.after_in_child(lambda: set_fresh(False))


def count_anew() -> None:
    """The next process that is made here is the first, by its default name."""
    mp_process._process_counter = itertools.count(1)


def live(process: Process, parent_sentinel: int | None) -> int:
    """Run `process` here; its exit code."""
    util = mp_util()
    code = 1
    try:
        _enter(process, util, parent_sentinel)
        try:
            coroutines.finished(process.run())  # type: ignore[func-returns-value]  # (a subclass's may be an `async def`)
            code = 0
        finally:
            _finish(util)
    except SystemExit as error:
        code = _code_of(error)
    except KeyboardInterrupt:
        code = 1  # the parent's traceback tells of it; one per child would say no more
    except BaseException:
        code = 1
        report(f"Process {process.name}:\n")
    finally:
        _join_threads()
        if util._logger is not None:
            util.info("process exiting with exitcode %d", code)
        util._flush_std_streams()
    return code


def rehearse(process: Process, parent_sentinel: int) -> None:
    """What `live` does, as far as it can be done again. (To wait for threads cannot: `threading`, and who asked it to be told,
    are at their end afterwards.)"""
    util = mp_util()
    _enter(process, util, parent_sentinel)
    process.run()
    _finish(util)
    util._flush_std_streams()


def _enter(process: Process, util: Any, parent_sentinel: int | None) -> None:
    """`process` is the current process of this program from now on."""
    if process._start_method is not None:
        from procession.process.context import force_start_method

        force_start_method(process._start_method)
    if not _fresh:
        count_anew()
        mp_process._children = set()
        _join_barriers(process)
    old = mp_process._current_process
    mp_process._current_process = process
    mp_process._parent_process = mp_process._ParentProcess(process._parent_name, process._parent_pid, parent_sentinel)
    if mp_threading._HAVE_THREAD_NATIVE_ID:
        mp_threading._main_thread._set_native_id()
    try:
        if util._finalizer_registry:
            util._finalizer_registry.clear()
        if util._afterfork_registry.data:
            util._run_after_forkers()
    finally:
        del old  # only now: its finalizers must not run before the fork handlers
    if util._logger is not None:
        util.info("child process calling self.run()")


def _join_barriers(process: Process) -> None:
    """Nothing is sent to the child of a fork, which would make it a party of the barriers that it gets: what it was given
    tells."""
    for given in (*process._args, *process._kwargs.values(), *vars(process).values()):
        if isinstance(given, _native.Barrier):
            given.join_in()  # type: ignore[attr-defined]


def _finish(util: Any) -> None:
    """What `multiprocessing` does at the end of a program: end the daemonic children, join the others, run finalizers."""
    if mp_process._children or util._finalizer_registry or util._logger is not None:
        util._exit_function()


def _join_threads() -> None:
    """Wait for the threads that are not daemons, as an interpreter does at its end. As a rule there are none."""
    if len(mp_threading._active) > 1 or mp_threading._limbo or mp_threading._threading_atexits:
        mp_threading._shutdown()


def _code_of(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    sys.stderr.write(str(error.code) + "\n")
    return 1


def report(text: str) -> None:
    """Print `text` and the traceback of the exception at hand on standard error, in one piece: others write there, too."""
    import traceback

    whole = io.StringIO()
    whole.write(text)
    traceback.print_exc(file=whole)
    sys.stderr.write(whole.getvalue())
