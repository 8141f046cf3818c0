"""What procession is tested with, for those who test programs that use it.

    leaks        a guard that finds children, zombies, descriptors and threads that a piece of code left behind
    saboteurs    targets that end badly, each in one way; objects that do not pickle
    watch        conditions with a deadline, and facts about processes of any program
"""

from __future__ import annotations

from procession.testing import leaks, saboteurs, watch

__all__ = ["leaks", "saboteurs", "watch"]
