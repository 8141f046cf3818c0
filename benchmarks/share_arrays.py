"""How an array comes to a child: in a message, or what is in the message is where it already lies."""

from __future__ import annotations

from typing import Any

import share_sides as sides
from sides import clock

__all__ = ["Way"]


class Way:
    """One array of float64 in the parent, the way of a rival to a child that looks at it, and the way back."""

    def __init__(self, rival: str, library: Any, numbers: int, own: bool) -> None:
        self._library, self._own, self._segment = library, own, None
        self._by_pipe, by_name = rival == "mp_pipe", rival == "mp_named"
        self._things: tuple[Any, Any] = library.pipe() if self._by_pipe or by_name else (library.queue(), library.queue())
        self.array = self._make(numbers, by_name)
        self.sent = (self._segment.name, numbers) if self._segment is not None else self.array
        self.for_child = self._things[1:] if self._by_pipe or by_name else self._things
        self.target = (sides.answer_arrays_by_name if by_name else
                       sides.answer_arrays_by_pipe if self._by_pipe else sides.answer_arrays)  # fmt: skip

    def _make(self, numbers: int, by_name: bool) -> Any:
        import numpy

        if by_name:
            self._segment = self._library.segment(numbers * 8)
            return numpy.ndarray((numbers,), "d", self._segment.buf)
        return self._library.own_array(numbers) if self._own else numpy.ones(numbers)

    def there_and_back(self, number: float) -> int:
        """Nanoseconds; and the result is checked. Where the memory is shared, what the child writes must be seen."""
        self.array[0] = self.array[-1] = number
        self.array[1] = 0
        first, second = self._things
        send, receive = (first.send, first.recv) if hasattr(first, "send") else (first.put, second.get)
        begin = clock()
        send(self.sent)
        result = receive()
        end = clock()
        if tuple(result) != (number, number, self.array.nbytes):
            raise RuntimeError(f"the array's result is wrong: {result}")
        if (self._own or self._segment is not None) and self.array[1] != -number:
            raise RuntimeError("the child had a copy")
        return end - begin

    def end(self) -> None:
        """Give all back."""
        self.array = self.sent = None
        if self._segment is not None:
            self._segment.close()
            self._segment.unlink()
        self._library.drop(*self._things)

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()
