"""From many settings to the curve of the good ones, and what two curves say of each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.eval.turns.hearing import Heard
from tests.eval.turns.replay import Point, point
from tests.eval.turns.rules import Setting, swept

FAMILIES = ("silence", "words", "sound", "fusion")


@dataclass(frozen=True, slots=True)
class Curves:
    """For each family the settings that nothing beats on the tuning part, best wait last."""

    chosen: dict[str, list[Setting]]

    def points(self, family: str, heard: Sequence[Heard]) -> list[Point]:
        """What the chosen settings do on `heard`."""
        return [point(one.label, heard, one.rule) for one in self.chosen[family]]


def tuned(heard: Sequence[Heard]) -> Curves:
    """Sweep every family over the tuning part."""
    return Curves({family: _front(family, heard) for family in FAMILIES})


def _front(family: str, heard: Sequence[Heard]) -> list[Setting]:
    found = [(setting, point(setting.label, heard, setting.rule)) for setting in swept(family)]
    # By wait, then by cuts: each one kept has fewer cuts than all that are quicker.
    found.sort(key=lambda pair: (pair[1].wait_s, pair[1].cut_share))
    kept: list[Setting] = []
    fewest = math.inf
    for setting, at in found:
        if at.cut_share < fewest:
            kept.append(setting)
            fewest = at.cut_share
    return kept


def at_most(points: Sequence[Point], cut_share: float) -> int | None:
    """Index of the quickest point with at most this share of cuts."""
    good = [i for i, one in enumerate(points) if one.cut_share <= cut_share]
    return min(good, key=lambda i: points[i].wait_s) if good else None


def silence_wait_s(points: Sequence[Point], cut_share: float) -> float:
    """How long plain silence waits to cut off this share, between its two nearest points."""
    ordered = sorted(points, key=lambda one: one.wait_s)
    for quick, slow in pairwise(ordered):
        if slow.cut_share <= cut_share <= quick.cut_share:
            span = quick.cut_share - slow.cut_share
            part = (quick.cut_share - cut_share) / span if span else 0.0
            return quick.wait_s + part * (slow.wait_s - quick.wait_s)
    return ordered[0].wait_s if cut_share > ordered[0].cut_share else math.inf
