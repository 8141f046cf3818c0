"""How long does it take from start() to the child's first line?"""

from __future__ import annotations

from answer import Answer, Goal
from harness import Options, main, measure_rivals
from rivals import LIBRARIES

__all__ = ["measure"]

_SMALL = "parent of 50 MB"
_RIVALS = [*LIBRARIES, "c_fork", "wake_socket", "wake_futex"]


def measure(options: Options) -> Answer:
    """The child's clock at its first line, less the parent's before start()."""
    answer = Answer("first_line", "From start() to the child's first line, a look at the clock.")
    how = {"do": "first_line", "rounds": options.choose(60, 3)}
    measure_rivals(answer, options, _RIVALS, {_SMALL: how}, warm=("first_line", {}))
    answer.ratio_goal("start() to the first line, against multiprocessing fork", _SMALL, "fork", 20)
    ours = answer.get(_SMALL)
    if ours:
        reached = f"{ours.median:.0f} µs"
        answer.goals.append(Goal("start() to the first line (an aim)", "100 µs", reached, ours.median <= 100))
    return answer


if __name__ == "__main__":
    main(measure)
