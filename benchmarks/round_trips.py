"""How long is a message to another process and back: by two queues, by a connection?"""

from __future__ import annotations

from typing import Any

from answer import Answer, Goal
from harness import Options, main, measure_rivals
from rivals import OURS, OURS_SIMPLE

__all__ = ["measure"]

_QUEUES = "two queues, a small tuple to and fro"
_SMALL = "a connection, a small tuple to and fro"
_BIG = "a connection, 1 MB of bytes to and fro"
_ANYWHERE = ", the processes wherever the kernel puts them"
_AIM = 8


def measure(options: Options) -> Answer:
    """Without a pause, each process on a core of its own: both sleep there until something comes.

    Where the kernel puts both on one core, nobody has to be woken from a core's sleep; that is given for information.
    """
    answer = Answer("round_trips", "A message to another process and back.")
    often, seldom = (200, 10) if options.quick else (1_000, 100)
    limits = ("c_futex", "c_spin")
    queues = (OURS, OURS_SIMPLE, "mp", "mp_simple", "faster_fifo")
    scenarios: dict[str, dict[str, Any]] = {
        _QUEUES: _how(options, "queue", "tuple", often) | {"among": (*queues, *limits)},
        _SMALL: _how(options, "pipe", "tuple", often) | {"among": (OURS, "mp", *limits)},
        _BIG: _how(options, "pipe", "bytes", seldom) | {"among": (OURS, "mp")},
        _QUEUES + _ANYWHERE: _how(options, "queue", "tuple", often, apart=False) | {"among": (*queues, "c_futex")},
        _SMALL + _ANYWHERE: _how(options, "pipe", "tuple", often, apart=False) | {"among": (OURS, "mp", "c_futex")},
    }
    measure_rivals(answer, options, (*queues, *limits), scenarios, program="share_parent.py", limits="limits_sync.c",
                   warm=("warm", {}))  # fmt: skip
    answer.ratio_goal("round trips by two queues, against SimpleQueue", _QUEUES, "mp_simple", 10)
    answer.ratio_goal("round trips by a connection, small, against multiprocessing", _SMALL, "mp", 1)
    answer.ratio_goal("round trips by a connection, 1 MB, against multiprocessing", _BIG, "mp", 3)
    ours = answer.get(_SMALL)
    if ours:
        what = "round trips by a connection, small (an aim)"
        answer.goals.append(Goal(what, f"{_AIM} µs", f"{ours.median:.1f} µs", ours.median <= _AIM))
    return answer


def _how(options: Options, by: str, kind: str, count: int, apart: bool = True) -> dict[str, Any]:
    return {"do": "round_trips", "needs": by, "by": by, "kind": kind, "count": count, "apart": apart,
            "rounds": options.choose(10, 1), "convert": lambda ns: ns / count / 1e3}  # fmt: skip


if __name__ == "__main__":
    main(measure)
