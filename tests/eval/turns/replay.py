"""The rule of endpointing over time: when a turn would have been ended."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import Any

from tests.eval.turns.hearing import Heard, Scored

# Delays of the pieces in a session, medians of one busy core (docs/decisions): a replay must not
# depend on how busy this machine was.
WORDS_TAKE_S = 0.15
TEXT_TAKES_S = 0.04
SOUND_TAKES_S = 0.06
BYTES_PER_S = 32_000
HARD_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Known:
    """What a session knows of a silence; None: not yet, or not at all."""

    words: str | None = None
    text: float | None = None
    sound: float | None = None


Rule = Callable[[Known], float]
"""From what is known to the silence, in seconds, that ends the turn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule did with a clip."""

    heard: Heard
    wait_s: float
    """From the end of the words to the end of the turn; infinite: it was not ended."""
    is_cut: bool
    """The turn was ended while the person was not done."""


def outcome(heard: Heard, rule: Rule) -> Outcome:
    """The first silence that outlasts the rule ends the turn."""
    clip = heard.clip
    for one in heard.silences:
        ended_s = _ends_at(one, rule)
        if ended_s < one.silence.until_s:
            is_cut = not clip.utterance.is_complete or ended_s < clip.said_until_s
            return Outcome(heard, ended_s - clip.said_until_s, is_cut)
    return Outcome(heard, math.inf, False)


def _ends_at(scored: Scored, rule: Rule) -> float:
    """When the turn is over if the silence lasts; decided again at each answer."""
    start_s = scored.silence.from_s
    known, since_s = Known(), start_s
    for at_s, news in sorted(_arrivals(scored), key=lambda arrival: arrival[0]):
        ended_s = max(start_s + rule(known), since_s)
        if ended_s < at_s:
            return ended_s
        known, since_s = replace(known, **news), at_s
    return max(start_s + min(rule(known), HARD_STOP_S), since_s)


def _arrivals(scored: Scored) -> Iterator[tuple[float, dict[str, Any]]]:
    asked_s = scored.silence.snapshot[1] / BYTES_PER_S
    yield asked_s + WORDS_TAKE_S, {"words": scored.words}
    if scored.text is not None:
        yield asked_s + WORDS_TAKE_S + TEXT_TAKES_S, {"text": scored.text}
    if scored.silence.sounded:
        yield scored.silence.sounded[1] / BYTES_PER_S + SOUND_TAKES_S, {"sound": scored.sound}


@dataclass(frozen=True, slots=True)
class Point:
    """One way to run a rule, over many clips."""

    label: str
    cut_share: float
    """Of the unfinished utterances, those in which the turn was ended."""
    wait_s: float
    """Mean over the complete utterances."""
    median_wait_s: float
    cut_inside_share: float
    """Of the complete utterances, those ended at a pause before their last word."""
    endless_share: float
    """Of the complete utterances, those after which no silence was noticed, or a new one for ever:
    noise that passes for speech. They have no wait."""


def point(label: str, heard: Iterable[Heard], rule: Rule) -> Point:
    """What `rule` does over all of `heard`."""
    outcomes = [outcome(one, rule) for one in heard]
    unfinished = [one for one in outcomes if not one.heard.clip.utterance.is_complete]
    complete = [one for one in outcomes if one.heard.clip.utterance.is_complete]
    ended = [one for one in complete if not one.is_cut]
    waits = [one.wait_s for one in ended if math.isfinite(one.wait_s)]
    return Point(
        label,
        _share(unfinished),
        mean(waits) if waits else math.inf,
        median(waits) if waits else math.inf,
        _share(complete),
        1 - len(waits) / len(ended) if ended else math.nan,
    )


def _share(outcomes: Sequence[Outcome]) -> float:
    return sum(one.is_cut for one in outcomes) / len(outcomes) if outcomes else math.nan
