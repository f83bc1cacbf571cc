"""When is the person done? How long to wait, given what is known of the end of the utterance."""

import re
from dataclasses import dataclass

from visavis_egress.conversation.config import TurnTaking

TEXT_IS_FINISHED = 0.5
"""The language model's probability of an ending from which the words count as finished."""
SOUND_IS_FINISHED = 0.5
"""The same of the sound."""
_CLOSED = re.compile(r"[.!?][\"')\]]*$")
_TRAILS_OFF = re.compile(r"(\.\.\.|…|\b(and|or|but|so|because|um|uh|er|the|a|to|of)[.,]?)$", re.I)


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

    Two votes, of the words and of the sound. A score that is pending is not yet a yes; one that is
    absent leaves the vote to punctuation (words) or to the words (sound), so that nothing waits for
    it.
    """
    if evidence.text == "":
        return taking.min_delay_s  # a noise: nothing more to find out
    words, sound = _words_are_finished(evidence), evidence.sound_score
    if sound.is_pending or sound.value is not None:
        voice = sound.value is not None and sound.value >= SOUND_IS_FINISHED
    else:
        # Punctuation alone is no two votes: recognisers close most sentences.
        voice = words and evidence.text_score.value is not None
    votes = words + voice
    return (taking.max_delay_s, taking.mid_delay_s, taking.min_delay_s)[votes]


def _words_are_finished(evidence: Evidence) -> bool:
    if evidence.text is None:
        return False
    score = evidence.text_score
    if score.value is not None:
        return score.value >= TEXT_IS_FINISHED
    return not score.is_pending and seems_finished(evidence.text)


def seems_finished(text: str) -> bool:
    """By punctuation: closed, and not trailing off."""
    return bool(_CLOSED.search(text)) and not _TRAILS_OFF.search(text.rstrip(".!?\"')]"))
