"""What does a lock cost when nobody else wants it: acquire and release, as calls and as `with`?"""

from __future__ import annotations

from answer import Answer, Goal
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_KINDS = ("Lock", "RLock", "Semaphore", "BoundedSemaphore")  # the last for information only
_WAYS = {"calls": "acquire() and release()", "with": "`with`"}
_RIVALS = (OURS, "fork", "c_mutex", "nothing")
_AIM = 45


def measure(options: Options) -> Answer:
    """Loops of 100,000 pairs (10,000 in a quick run); the loop itself is not subtracted."""
    answer = Answer("uncontended", "Acquire and release, with nobody else there: nanoseconds for the pair.")
    count = 10_000 if options.quick else 100_000
    scenarios = {_scenario(kind, way): _how(options, kind, way, count) for kind in _KINDS for way in _WAYS}
    warm = ("pairs", {"kind": "Lock", "way": "with", "count": count})
    measure_rivals(answer, options, _RIVALS, scenarios, program="sync_parent.py", limits="limits_sync.c", warm=warm)
    for kind in _KINDS[:3]:
        for way in _WAYS:
            scenario = _scenario(kind, way)
            answer.ratio_goal(f"{scenario}, uncontended, against multiprocessing", scenario, "fork", 1)
    ours = answer.get(_scenario("Lock", "calls"))
    if ours:
        what = "acquire() and release() of a Lock, uncontended (an aim)"
        answer.goals.append(Goal(what, f"{_AIM} ns", f"{ours.median:.0f} ns", ours.median <= _AIM))
    return answer


def _scenario(kind: str, way: str) -> str:
    return f"{kind}, {_WAYS[way]}"


def _how(options: Options, kind: str, way: str, count: int) -> dict[str, object]:
    without = () if (kind, way) == ("Lock", "calls") else ("c_mutex", "nothing")
    return {"do": "pairs", "kind": kind, "way": way, "count": count, "rounds": options.choose(30, 3), "unit": "ns",
            "convert": lambda ns: ns / count, "without": without}  # fmt: skip


if __name__ == "__main__":
    main(measure)
