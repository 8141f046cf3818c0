"""A lock's holder is killed: how long until a waiter has the lock?"""

from __future__ import annotations

from answer import Answer, Goal
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_SCENARIO = "the waiter asleep in acquire()"
_MEDIAN, _MOST = 5, 50  # milliseconds


def measure(options: Options) -> Answer:
    """Only ours, and a robust mutex in C: with multiprocessing the waiter waits for ever."""
    answer = Answer("lock_death", "From SIGKILL of a Lock's holder to a waiting process having it.")
    answer.notes.append("multiprocessing is not measured: its waiter never gets the lock of a killed holder.")
    rivals = [OURS, "c_mutex"] if _survivable() else ["c_mutex"]
    how = {"do": "death", "rounds": options.choose(50, 3), "unit": "ms", "convert": lambda ns: ns / 1e6}
    measure_rivals(answer, options, rivals, {_SCENARIO: how}, program="sync_parent.py", limits="limits_sync.c",
                   warm=("death", {}))  # fmt: skip
    _goals(answer)
    return answer


def _survivable() -> bool:
    """Whether these locks know of their owner's death at all."""
    import procession

    return getattr(procession, "OwnerDiedWarning", None) is not None


def _goals(answer: Answer) -> None:
    ours = answer.get(_SCENARIO)
    median, most = (f"{ours.median:.2f} ms", f"{max(ours.samples):.2f} ms") if ours else ("never", "never")
    what = "SIGKILL of a Lock's holder to the waiter having it"
    met = ours is not None and ours.median < _MEDIAN
    answer.goals.append(Goal(f"{what}, median", f"below {_MEDIAN} ms", median, met))
    met = ours is not None and max(ours.samples) < _MOST
    answer.goals.append(Goal(f"{what}, the slowest of all samples", f"below {_MOST} ms", most, met))
    if ours is None:
        answer.notes.append("This procession has no OwnerDiedWarning: its locks do not survive their holder either.")


if __name__ == "__main__":
    main(measure)
