"""How much memory does an idle child take, and what takes the machinery that stands ready?

Shared pages are counted in parts (PSS), so that a family's figures add up to what it takes. One family at a time is
alive here: families alive together would share the interpreter's pages, and all would look better.
"""

from __future__ import annotations

import random

from answer import Answer, Goal, Series
from harness import Options, Parent, main
from looking import memory, settled_descendants, total
from rivals import LIBRARIES

__all__ = ["measure"]

_CHILD, _PRIVATE = "one idle child, PSS", "one idle child, private memory"
_HELPERS = "helper processes before any child, PSS together"
_MANY = "each of 10 idle children, by what the family has more, PSS"


def measure(options: Options) -> Answer:
    """For parents without ballast and of 50 MB."""
    answer = Answer("memory", "Memory of an idle child, and of the helpers (zygote and spares, fork server).")
    dice = random.Random(f"{options.seed} memory")
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.choose(5, 1)):
        cases = [(name, megabytes) for name in LIBRARIES for megabytes in (0, 50)]
        dice.shuffle(cases)
        for name, megabytes in cases:
            for what, kib in _look(name, megabytes).items():
                samples.setdefault((f"{what}; {_size(megabytes)}", name), []).append(kib / 1024)
    for scenario, name in sorted(samples, key=lambda key: (key[0], list(LIBRARIES).index(key[1]))):
        answer.series.append(Series(scenario, name, "MiB", samples[scenario, name]))
    _goals(answer)
    return answer


def _size(megabytes: int) -> str:
    return f"parent of {megabytes} MB" if megabytes else "parent without ballast"


def _look(name: str, megabytes: int) -> dict[str, float]:
    """One family from its birth; KiB by question."""
    with Parent(name, megabytes) as parent:
        parent.ask("start_join")
        helpers = settled_descendants(parent.pid)
        at_rest = total(helpers | {parent.pid}, "Pss")
        found: dict[str, float] = {_HELPERS: total(helpers, "Pss")}
        (child,) = parent.ask("hold", count=1)
        settled_descendants(parent.pid)
        facts = memory(child)
        found |= {_CHILD: facts["Pss"], _PRIVATE: facts["Private"]}
        parent.ask("hold", count=9)
        found[_MANY] = (total(settled_descendants(parent.pid) | {parent.pid}, "Pss") - at_rest) / 10
        parent.ask("release")
    return found


def _goals(answer: Answer) -> None:
    for megabytes in (0, 50):
        scenario = f"{_CHILD}; {_size(megabytes)}"
        ours, fork = answer.get(scenario), answer.get(scenario, "fork")
        if ours and fork:
            reached = f"{ours.median:.1f} MiB (fork: {fork.median:.1f} MiB)"
            what = f"PSS of an idle child, {_size(megabytes)}"
            answer.goals.append(Goal(what, "not above fork's", reached, ours.median <= fork.median))
    helpers = answer.get(f"{_HELPERS}; {_size(50)}")
    if helpers:
        most = helpers.median * 1.048576
        answer.goals.append(Goal("PSS of the zygote with its spares", "below 25 MB", f"{most:.1f} MB", most < 25))


if __name__ == "__main__":
    main(measure)
