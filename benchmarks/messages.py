"""How many messages a second go through a queue: small tuples, and a megabyte each?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS, OURS_SIMPLE

__all__ = ["measure"]

_ONE = "small tuples, one producer, one consumer"
_TWO = "small tuples, two producers, two consumers"
_BIG = "1 MB of bytes, one producer, one consumer"
_QUEUES = (OURS, OURS_SIMPLE, "mp", "mp_simple", "faster_fifo")


def measure(options: Options) -> Answer:
    """Producers and consumers are children; the time runs from the moment when they begin together to the last get()."""
    answer = Answer("messages", "Messages through a queue, put and got one by one.")
    small, big = (2_000, 20) if options.quick else (40_000, 300)
    scenarios: dict[str, dict[str, Any]] = {
        _ONE: _how(options, "tuple", small) | {"among": (*_QUEUES, "pickle")},
        _TWO: _how(options, "tuple", small) | {"among": _QUEUES, "each": 2},
        _BIG: _how(options, "bytes", big) | {"among": (*_QUEUES, "iceoryx2", "memcpy")},
    }
    rivals = (*_QUEUES, "iceoryx2", "pickle", "memcpy")
    measure_rivals(answer, options, rivals, scenarios, program="share_parent.py", limits="limits_share.c", warm=("warm", {}))
    answer.ratio_goal("messages, small tuples 1 to 1, against multiprocessing.Queue", _ONE, "mp", 8)
    answer.ratio_goal("messages, small tuples 2 to 2, against multiprocessing.Queue", _TWO, "mp", 5)
    answer.ratio_goal("messages, 1 MB of bytes, against faster-fifo", _BIG, "faster_fifo", 2)
    answer.notes.append("iceoryx2 takes plain bytes alone, and its receiver spins; it is not measured with tuples.")
    return answer


def _how(options: Options, kind: str, count: int) -> dict[str, Any]:
    return {"do": "flow", "needs": "queue", "kind": kind, "count": count, "rounds": options.choose(10, 1),
            "unit": "per second", "more_is_better": True, "convert": lambda ns: count * 1e9 / ns}  # fmt: skip


if __name__ == "__main__":
    main(measure)
