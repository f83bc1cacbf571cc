"""How far the figures would move with other utterances: resampled by what was said."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.eval.turns.hearing import Heard
from tests.eval.turns.replay import Rule, outcome
from tests.eval.turns.rules import swept

SAMPLES = 1000

Interval = tuple[float, float]
Table = NDArray[np.float64]


def intervals(heard: Sequence[Heard], rule: Rule) -> tuple[Interval, Interval]:
    """95 % intervals of the share of cut-offs and of the wait as a part of plain silence's.

    An utterance with all its clips is in a sample or is not: its voices are no new evidence.
    """
    unfinished = [one for one in heard if not one.clip.utterance.is_complete]
    complete = [one for one in heard if one.clip.utterance.is_complete]
    rules = [rule, *(one.rule for one in swept("silence"))]
    cuts, waits = _cuts(unfinished, rules), _waits(complete, rules)
    rng = np.random.default_rng(1)
    shares, ratios = [], []
    for _ in range(SAMPLES):
        share = _drawn(cuts, rng).mean(axis=0)
        wait_s = np.nanmean(_drawn(waits, rng), axis=0)
        # The shortest silence that cuts off no more; the longest there is, if all do.
        enough = np.flatnonzero(share[1:] <= share[0])
        shares.append(float(share[0]))
        ratios.append(float(wait_s[0] / wait_s[1 + enough[0] if len(enough) else -1]))
    return _middle(shares), _middle(ratios)


def _cuts(heard: Sequence[Heard], rules: Sequence[Rule]) -> Table:
    return _by_utterance(heard, [[outcome(one, rule).is_cut for rule in rules] for one in heard])


def _waits(heard: Sequence[Heard], rules: Sequence[Rule]) -> Table:
    def wait_s(one: Heard, rule: Rule) -> float:
        found = outcome(one, rule)
        return math.nan if found.is_cut or math.isinf(found.wait_s) else found.wait_s

    return _by_utterance(heard, [[wait_s(one, rule) for rule in rules] for one in heard])


def _by_utterance(heard: Sequence[Heard], rows: Sequence[Sequence[float]]) -> Table:
    """A row for each utterance: the mean over its voices."""
    grouped: dict[str, list[Sequence[float]]] = {}
    for one, row in zip(heard, rows, strict=True):
        grouped.setdefault(one.clip.utterance.said, []).append(row)
    return np.array([np.mean(np.array(group, float), axis=0) for group in grouped.values()])


def _drawn(table: Table, rng: np.random.Generator) -> Table:
    return np.asarray(table[rng.integers(len(table), size=len(table))])


def _middle(values: Sequence[float]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
