"""How long does it take from SIGKILL of an idle child to join() returning?"""

from __future__ import annotations

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import LIBRARIES

__all__ = ["measure"]

_SMALL = "parent of 50 MB"


def measure(options: Options) -> Answer:
    """The child is up and asleep when it is killed."""
    answer = Answer("kill_join", "From SIGKILL of an idle child to join() returning.")
    how = {"do": "kill_join", "rounds": options.choose(50, 3)}
    measure_rivals(answer, options, [*LIBRARIES, "c_fork"], {_SMALL: how}, warm=("kill_join", {}))
    answer.ratio_goal("SIGKILL to join() returning, against multiprocessing fork", _SMALL, "fork", 3)
    return answer


if __name__ == "__main__":
    main(measure)
