"""The first module of a zygote: what must come before everything else is imported."""

from __future__ import annotations

from typing import NoReturn

from procession import _native
from procession.core import atfork

__all__ = ["zygote"]


def zygote() -> NoReturn:
    """The zygote's program."""
    _native.gather_reserve()
    atfork.watch()
    from procession.process.zygote import main

    main()
