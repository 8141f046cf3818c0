"""A numpy array of 100 MB to another process, and a small result back; and the same when it is in shared memory already."""

from __future__ import annotations

from typing import Any

from answer import Answer, Goal
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_SENT = "an array of the program's: there, and a result back"
_OWN = "an array that lies in shared memory: there, and a result back"
_LEAST = 3.0


def measure(options: Options) -> Answer:
    """The size by the time from before it is sent to the result; where nothing is copied, the time alone.

    That nothing is copied is checked: what the child writes into the array must be there in the parent.
    """
    size = 5 if options.quick else 100
    answer = Answer("arrays", f"A numpy array of {size} MB to another process, and a small result back.")
    often: dict[str, Any] = {"do": "arrays", "megabytes": size, "times": 1 if options.quick else 2,
                             "rounds": options.choose(6, 1)}  # fmt: skip
    scenarios = {
        _SENT: often | {"needs": "array", "unit": "GB/s", "more_is_better": True, "convert": lambda ns: size * 1e6 / ns,
                        "among": (OURS, "mp", "mp_pipe", "memcpy")},
        _OWN: often | {"needs": "own_array", "own": True, "among": (OURS, "mp_named", "memcpy")},
    }  # fmt: skip
    rivals = (OURS, "mp", "mp_pipe", "mp_named", "memcpy")
    measure_rivals(answer, options, rivals, scenarios, program="share_parent.py", limits="limits_share.c", warm=("warm", {}))
    _goals(answer)
    return answer


def _goals(answer: Answer) -> None:
    ours = answer.get(_SENT)
    if ours:
        reached = f"{ours.median:.2f} GB/s"
        answer.goals.append(Goal("a numpy array there and a result back", "at least 3 GB/s", reached, ours.median >= _LEAST))
    own = answer.get(_OWN)
    if own:  # (a copy would have been an error)
        what = "the same, when it lives in shared memory already"
        answer.goals.append(Goal(what, "0 copies", f"0 copies, {own.median:.0f} µs", True))


if __name__ == "__main__":
    main(measure)
