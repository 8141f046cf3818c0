"""How long is a process that does nothing, from its start to its exit code, awaited in an event loop?"""

from __future__ import annotations

import sys

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS, OURS_CORO

__all__ = ["measure"]

_STARTED = "start, and its end awaited"
_RIVALS = (OURS, OURS_CORO, "fork", "exec_true", "exec_python", "aiomultiprocess_fork", "aiomultiprocess")


def measure(options: Options) -> Answer:
    """A Python process that calls a function; of asyncio's own, which starts programs, the least of them."""
    answer = Answer("await_process", "A process that does nothing, awaited in an event loop: from its start to its exit code.")
    rivals = [name for name in _RIVALS if not options.quick or "aiomultiprocess" not in name]
    scenarios = {_STARTED: {"do": "process", "needs": "process", "rounds": options.choose(60, 5)}}
    measure_rivals(answer, options, rivals, scenarios, program="await_parent.py", limits="limits_sync.c",
                   megabytes=20 if options.quick else 50, warm=("warm", {"what": "process"}))  # fmt: skip
    answer.ratio_goal("start and await, against asyncio's subprocess with Python", _STARTED, "exec_python", 10)
    answer.ratio_goal("start and await, against multiprocessing with a thread that joins", _STARTED, "fork", 1)
    answer.notes += [
        "/bin/true is no Python: what the kernel, the loop and a small program take. `python -S -c ''` imports no site.",
        "multiprocessing's join() has a thread of the loop's, which is there already.",
        "aiomultiprocess looks every 5 ms whether its process has ended; its function runs in an event loop of the child's, as "
        "procession's async def does.",
        f"asyncio's subprocess is told of an end by a pidfd, without a thread{_WATCHER}.",
    ]
    return answer


_WATCHER = "" if sys.version_info >= (3, 12) else " (PidfdChildWatcher; before Python 3.12 the default has a thread for each)"


if __name__ == "__main__":
    main(measure)
