"""A dictionary that processes share: how often can one, and can two at once, set and get?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_CLIENTS = {1: "one client: set and get", 2: "two clients: set and get of both"}


def measure(options: Options) -> Answer:
    """``d[k] = v; d[k]`` for 64 keys in turn. multiprocessing's is a manager's, with a server process beside the clients."""
    answer = Answer("dictionaries", "A shared dictionary: pairs of set and get.")
    seconds = 0.05 if options.quick else 0.3
    scenarios: dict[str, dict[str, Any]] = {}
    for clients, scenario in _CLIENTS.items():
        among = (OURS, "mp", "ultradict", *(("plain_dict",) if clients == 1 else ()))
        scenarios[scenario] = {"do": "dictionary", "needs": "dict", "clients": clients, "seconds": seconds, "among": among,
                               "rounds": options.choose(8, 1), "unit": "per second", "more_is_better": True,
                               "convert": lambda found: found[0] * 1e9 / found[1]}  # fmt: skip
    rivals = (OURS, "mp", "ultradict", "plain_dict")
    measure_rivals(answer, options, rivals, scenarios, program="share_parent.py", limits="limits_share.c", warm=("warm", {}))
    for clients, scenario in _CLIENTS.items():
        who = "one client" if clients == 1 else "two clients"
        answer.ratio_goal(f"SharedDict, {who}, against a Manager's dict", scenario, "mp", 20)
        answer.ratio_goal(f"SharedDict, {who}, against UltraDict", scenario, "ultradict", 1)
    answer.notes.append("UltraDict's clients have inherited it with its lock; reading takes no lock there.")
    return answer


if __name__ == "__main__":
    main(measure)
