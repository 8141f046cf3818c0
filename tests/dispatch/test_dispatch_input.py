"""Wrong input to queues and groups is refused at the call, before anything is started."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from procession import DispatchGroup, DispatchQueue, global_queue


def same(value: object) -> object:
    return value


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: DispatchQueue(3), TypeError, "name of a queue must be a string; got 3"),  # type: ignore[arg-type]
    (lambda: DispatchQueue("q", width=2), ValueError, "width must be at least 1, and 1 if .* got 2"),
    (lambda: DispatchQueue("q", 4), TypeError, "concurrent must be True or False .* got 4"),  # type: ignore[arg-type]
    (lambda: DispatchQueue("q", True, width=0), ValueError, "got 0"),
    (lambda: DispatchQueue("q", True, width=1.5), TypeError, "got 1.5"),  # type: ignore[arg-type]
    (lambda: DispatchQueue("q", target="x"), TypeError, "target must be a DispatchQueue"),  # type: ignore[arg-type]
    (lambda: DispatchQueue("q", priority="x"), TypeError, "priority must be a whole number"),  # type: ignore[arg-type]
    (lambda: DispatchQueue("q", executor=3), TypeError, "executor must be a procession.ProcessPoolExecutor"),
    (lambda: DispatchQueue("q").async_(3), TypeError, "must be callable; got 3"),  # type: ignore[arg-type]
    (lambda: DispatchQueue("q").sync(same(1)), TypeError, "got 1 .its arguments follow it"),  # type: ignore[arg-type]
    (lambda: global_queue([]), TypeError, "priority must be a whole number; got .."),  # type: ignore[arg-type]
    (lambda: (global_queue(1), global_queue(True)), TypeError, "priority must be a whole number; got True"),
    (lambda: DispatchQueue("q").after(float("nan"), same, 1), ValueError, "delay must be a number of seconds"),
    (lambda: DispatchQueue("q").apply(-1, same), ValueError, "n must be a whole number"),
    (lambda: DispatchQueue("q").apply(0, 3), TypeError, "must be callable; got 3"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_bad_input_is_refused_at_the_call(index: int) -> None:
    call, error, match = REFUSED[index]
    with pytest.raises(error, match=match):
        call()


def test_a_group_wants_the_queue_first() -> None:
    group = DispatchGroup()
    for call in (group.async_, group.notify):
        for wrong in (None, same):
            with pytest.raises(TypeError, match="a group's block needs a DispatchQueue, and then the function; got "):
                call(wrong, same, 1)  # type: ignore[arg-type]
    assert group.wait(0)
