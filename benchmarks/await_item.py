"""How long is a message to another process and back, the answer awaited in an event loop?"""

from __future__ import annotations

from typing import Any

from answer import Answer
from harness import Options, main, measure_rivals
from rivals import OURS

__all__ = ["measure"]

_QUEUES = "two queues, a small tuple to and fro"
_PIPE = "a connection, a small tuple to and fro"
_LATE, _PIPE_LATE = ("a queue: from put() to the item, the loop asleep for 2 ms",
                     "a connection: from send() to the item, the loop asleep for 2 ms")  # fmt: skip
_ANYWHERE = ", the processes wherever the kernel puts them"


def measure(options: Options) -> Answer:
    """To and fro without a pause, each process on a core of its own; then without that; then one way, to a loop that sleeps.

    The other waits in place, in no loop.
    """
    answer = Answer("await_item", "An item that another process puts into a queue, or sends, awaited in an event loop.")
    count = 200 if options.quick else 1_000
    scenarios: dict[str, dict[str, Any]] = {
        by_name + where: {"do": "round_trips", "needs": by, "by": by, "kind": "tuple", "count": count, "apart": not where,
                          "rounds": options.choose(10, 1), "convert": lambda ns: ns / count / 1e3}
        for where in ("", _ANYWHERE) for by_name, by in ((_QUEUES, "queue"), (_PIPE, "pipe"))
    }  # fmt: skip
    seldom = 10 if options.quick else 100
    for scenario, by in ((_LATE, "queue"), (_PIPE_LATE, "pipe")):
        scenarios[scenario] = {"do": "late", "needs": by, "by": by, "count": seldom, "rounds": options.choose(10, 1)}
    measure_rivals(answer, options, (OURS, "mp"), scenarios, program="await_parent.py", limits="limits_sync.c",
                   megabytes=20 if options.quick else 50, warm=("warm", {"what": "queue"}))  # fmt: skip
    answer.ratio_goal("items of a queue, against multiprocessing.Queue in a thread", _QUEUES, "mp", 1)
    answer.ratio_goal("items of a connection, against multiprocessing's with add_reader", _PIPE, "mp", 1)
    answer.ratio_goal("an item of a queue for a loop asleep, against multiprocessing.Queue in a thread", _LATE, "mp", 1)
    answer.ratio_goal("the same of a connection, against multiprocessing's with add_reader", _PIPE_LATE, "mp", 1)
    answer.notes += [
        "To and fro, the answer is often there before the loop would fall asleep. So one that comes late is given besides.",
        "multiprocessing: Queue.get() in the loop's default executor, which has its thread already; Connection.recv() when "
        "loop.add_reader, there all the time, says that something has come. procession: get_async() and recv_async().",
        "aiomultiprocess has no queue.",
    ]
    return answer


if __name__ == "__main__":
    main(measure)
