"""When is the person done? How long to wait, given what is known of the end of the utterance.

The thresholds come from `make eval-turns`.
"""

import re
from dataclasses import dataclass

from visavis_egress.conversation.backchannel import normalised
from visavis_egress.conversation.config import TurnTaking

TEXT_SURE = 0.45
"""The language model's probability of an ending from which the words seem finished."""
TEXT_GOING_ON = 0.1
"""Below it they are going on, whatever the sound says: sentences sound finished in their middle."""
SOUND_SURE = 0.8
"""The same of the sound."""
_TRAILS_OFF = re.compile(r"(\.\.\.|…|,|\b(u+m+|u+h+|e+r+m*|h+m+)[.,]?)$", re.IGNORECASE)
_CLOSED = re.compile(r"[.!?][\"')\]]*$")
_ANSWERS = frozenset(
    """yes yeah yep no nope okay ok sure right exactly never thanks correct please fine good great
    hello hi goodbye bye""".split()  # noqa: SIM905, a list of words reads better as words
)
"""Whole utterances of one word, which scorers made for sentences take for beginnings."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer says: pending, absent (`value` None) or a probability."""

    is_pending: bool = True
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the end of an utterance; `text` None: not recognised yet."""

    text: str | None
    text_score: Score
    sound_score: Score


def wait_s(taking: TurnTaking, evidence: Evidence) -> float:
    """Silence after which the turn is over, by everything that is known now.

    Two votes, of the words and of the sound, and a veto of the words. A score that is pending is
    not yet a yes. One that is absent is none, but then punctuation may stand in for one of the two:
    nothing waits for a scorer that is not there.
    """
    if evidence.text == "":
        return taking.min_delay_s  # a noise: nothing more to find out
    if evidence.text is not None and _are_going_on(evidence.text, evidence.text_score):
        return taking.max_delay_s
    sound = evidence.sound_score.value
    votes = _are_finished(evidence) + (sound is not None and sound >= SOUND_SURE)
    votes = votes or _are_closed(evidence)
    return (taking.max_delay_s, taking.mid_delay_s, taking.min_delay_s)[votes]


def _is_an_answer(text: str) -> bool:
    return normalised(text) in _ANSWERS


def _are_going_on(text: str, score: Score) -> bool:
    if _is_an_answer(text):
        return False
    is_low = score.value is not None and score.value < TEXT_GOING_ON
    return is_low or bool(_TRAILS_OFF.search(text))


def _are_finished(evidence: Evidence) -> bool:
    if evidence.text is None:
        return False
    score = evidence.text_score.value
    return _is_an_answer(evidence.text) or (score is not None and score >= TEXT_SURE)


def _are_closed(evidence: Evidence) -> bool:
    """By punctuation, weak as it is: recognisers close half of the unfinished sentences as well."""
    is_absent = not evidence.text_score.is_pending and evidence.text_score.value is None
    return is_absent and bool(_CLOSED.search(evidence.text or ""))
