"""What a benchmark finds: samples in series, and goals met or missed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from rivals import OURS

__all__ = ["Answer", "Goal", "Series"]


@dataclass
class Series:
    """The samples of one rival under one scenario."""

    scenario: str
    rival: str
    unit: str
    samples: list[float]
    more_is_better: bool = False
    in_time: bool = False  #: the samples are looks one after another, and their course matters

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    def times_better(self, other: Series) -> float:
        """How many times better than `other` this is, by the medians; below 1: worse."""
        mine, theirs = (self.median, other.median) if self.more_is_better else (other.median, self.median)
        if mine == theirs:
            return 1.0
        return mine / theirs if theirs else float("inf")


@dataclass
class Goal:
    """A figure that was demanded, beside the one reached."""

    what: str
    wanted: str
    reached: str
    met: bool


@dataclass
class Answer:
    """All that one file found out."""

    name: str
    question: str
    series: list[Series] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def get(self, scenario: str, rival: str = OURS) -> Series | None:
        """The series, or None when it was not measured here."""
        return next((s for s in self.series if (s.scenario, s.rival) == (scenario, rival)), None)

    def ratio_goal(self, what: str, scenario: str, rival: str, least: float) -> None:
        """Add the goal to be at least `least` times better than `rival`, if both were measured."""
        ours, theirs = self.get(scenario), self.get(scenario, rival)
        if ours and theirs:
            factor = ours.times_better(theirs)
            self.goals.append(Goal(what, f"at least {least:g} times", f"{factor:.1f} times", factor >= least))
