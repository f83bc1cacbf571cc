"""How long a silence has to be, by what is known of the words and of the sound."""

import itertools
from dataclasses import replace

import pytest

from tests.unit.egress.conversation.driver import PATIENT_MODEL, TIMING, Stage
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.config import PROFILES, TurnTaking
from visavis_egress.conversation.endpointing import (
    SOUND_SURE,
    TEXT_GOING_ON,
    TEXT_SURE,
    Evidence,
    Score,
    wait_s,
)

TAKING = TurnTaking(min_delay_s=0.3, mid_delay_s=0.8, max_delay_s=2.5, speculation=False)
PENDING = Score()
ABSENT = Score(is_pending=False)


def score(value: float) -> Score:
    return Score(False, value)


YES, NO, MAYBE = score(0.97), score(0.02), score(0.2)
WORDS = "I would like a table."


@pytest.mark.parametrize(
    ("text", "words", "sound", "wait"),
    [
        # Both sure, one, none.
        (WORDS, YES, YES, 0.3),
        (WORDS, YES, NO, 0.8),
        (WORDS, MAYBE, YES, 0.8),
        (WORDS, MAYBE, NO, 2.5),
        # The thresholds belong to the sure side.
        (WORDS, score(TEXT_SURE), score(SOUND_SURE), 0.3),
        (WORDS, score(TEXT_SURE - 0.01), score(SOUND_SURE), 0.8),
        (WORDS, score(TEXT_SURE), score(SOUND_SURE - 0.01), 0.8),
        # Words that go on have a veto.
        (WORDS, NO, YES, 2.5),
        (WORDS, score(TEXT_GOING_ON), YES, 0.8),
        # Neither pending nor absent is a yes.
        (WORDS, PENDING, PENDING, 2.5),
        # Without the words' score punctuation is one vote, and never the second.
        (WORDS, ABSENT, ABSENT, 0.8),
        (WORDS, ABSENT, NO, 0.8),
        ("I would like a", ABSENT, NO, 2.5),
        ("Would I?", ABSENT, ABSENT, 0.8),
        (WORDS, PENDING, ABSENT, 2.5),
        (WORDS, YES, PENDING, 0.8),
        (WORDS, YES, ABSENT, 0.8),
        (WORDS, PENDING, YES, 0.8),
        (WORDS, ABSENT, YES, 0.8),
        # The words are not known yet.
        (None, PENDING, YES, 0.8),
        (None, PENDING, NO, 2.5),
        (None, PENDING, PENDING, 2.5),
        # A noise.
        ("", PENDING, PENDING, 0.3),
        ("", PENDING, NO, 0.3),
        # Fillers and commas go on, whoever says what.
        ("I would like, um", YES, YES, 2.5),
        ("I would like, uh.", YES, YES, 2.5),
        ("I would like...", YES, YES, 2.5),
        ("I would like…", YES, YES, 2.5),
        ("First,", YES, YES, 2.5),
        ("I like my drum", YES, YES, 0.3),
        # Whole answers of one word.
        ("Yeah.", NO, YES, 0.3),
        ("Yeah.", NO, NO, 0.8),
        ("No", ABSENT, ABSENT, 0.8),
        ("Okay!", PENDING, YES, 0.3),
    ],
)
def test_the_wait_by_the_evidence(
    text: str | None, words: Score, sound: Score, wait: float
) -> None:
    assert wait_s(TAKING, Evidence(text, words, sound)) == wait


@pytest.mark.parametrize("name", ["quick", "balanced", "patient"])
def test_a_profile_waits_longer_the_less_is_sure(name: str) -> None:
    taking = PROFILES[name]
    waits = [
        wait_s(taking, Evidence(WORDS, words, sound))
        for words, sound in ((YES, YES), (YES, NO), (NO, NO))
    ]
    assert waits == [taking.min_delay_s, taking.mid_delay_s, taking.max_delay_s]
    assert waits == sorted(set(waits))


def spoken(taking: TurnTaking = TAKING) -> tuple[Stage, float]:
    """A second of speech, recognised snapshot under way, 0.23 s of silence: where it ended."""
    stage = Stage(taking=taking).seat()
    stage.voice(1)
    ended_at = stage.now
    stage.silence(0.23)
    return stage, ended_at


def waited(stage: Stage, ended_at: float) -> float:
    """Silence goes on; how long it was when the turn was committed."""
    stage.silence(6)
    assert len(stage.all(do.Commit)) == 1
    return stage.times(do.Commit)[0] - ended_at


def evidence(stage: Stage, words: float | None, sound: float | None) -> list[on.Event]:
    revision = stage.snapshots[-1].revision
    return [
        on.Transcribed(revision, "What is it"),
        on.TextScored(revision, words),
        on.SoundScored(revision, sound),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize(
    ("words", "sound", "wait"),
    [(1.0, 1.0, 0.3), (1.0, 0.0, 0.8), (0.2, 1.0, 0.8), (0.0, 0.0, 2.5), (None, None, 2.5)],
)
def test_the_order_of_arrival_changes_nothing(
    order: tuple[int, ...], words: float | None, sound: float | None, wait: float
) -> None:
    stage, ended_at = spoken()
    known = evidence(stage, words, sound)
    for index in order:
        stage.feed(known[index])
        stage.silence(0.02)
    assert waited(stage, ended_at) == pytest.approx(wait, abs=0.04)


def test_evidence_that_comes_late_is_acted_on_at_once() -> None:
    stage, _ = spoken()
    for event in evidence(stage, 1.0, 0.0)[:1]:
        stage.feed(event)
    stage.silence(1.5)
    assert not stage.all(do.Commit)
    stage.feed(on.TextScored(stage.snapshots[-1].revision, 1.0))
    assert stage.all(do.Commit)


def test_evidence_that_the_turn_goes_on_takes_nothing_back_that_is_over() -> None:
    stage, ended_at = spoken()
    stage.feed(on.SoundScored(stage.snapshots[-1].revision, 1.0))
    stage.silence(0.8)  # over, by the sound alone; the words come now
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "What is it"))
    assert len(stage.all(do.Commit)) == 1
    assert stage.now - ended_at < 1.1


@pytest.mark.parametrize("which", [(), (1,), (2,)])
def test_scores_that_never_come_end_no_turn_and_hold_none_up(which: tuple[int, ...]) -> None:
    stage, ended_at = spoken()
    known = evidence(stage, 1.0, 1.0)
    stage.feed(known[0])
    for index in which:
        stage.feed(known[index])
    assert waited(stage, ended_at) == pytest.approx(0.8 if which else 2.5, abs=0.04)


def test_punctuation_stands_in_for_a_score_of_the_words_that_is_late() -> None:
    stage, ended_at = spoken(replace(TAKING, speculation=True))
    stage.silence(0.7)
    stage.feed(on.SoundScored(stage.snapshots[-1].revision, 0.0))
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "What is it?"))
    known_at = stage.now
    stage.silence(TIMING.score_timeout_s - 0.05)
    assert not stage.all(do.Commit)  # the mean delay is over, and the score may still come
    assert waited(stage, ended_at) == pytest.approx(known_at - ended_at + 0.3, abs=0.04)


def test_a_model_that_acts_is_not_asked_for_a_score_and_none_is_waited_for() -> None:
    stage, ended_at = spoken()
    stage.feed(on.SoundScored(stage.snapshots[-1].revision, 0.0))
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "What is it?"))
    assert waited(stage, ended_at) == pytest.approx(0.8, abs=0.04)
    assert not stage.all(do.ScoreText)


def test_a_text_that_never_comes_is_a_failure_and_not_a_wait() -> None:
    stage, _ = spoken()
    stage.silence(6)
    assert stage.all(do.Commit)
    stage.feed(on.TurnCommitted(1))
    assert stage.last(do.RecordError).code == "ASR_TIMEOUT"


def test_five_seconds_of_silence_end_every_turn() -> None:
    stage, ended_at = spoken(TurnTaking(max_delay_s=60.0, speculation=False))
    for event in evidence(stage, 0.0, 0.0):
        stage.feed(event)
    assert waited(stage, ended_at) == pytest.approx(TIMING.hard_stop_s, abs=0.04)


def test_a_noise_is_over_soon() -> None:
    stage, _ = spoken()
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, " "))
    stage.silence(0.2)
    assert stage.is_quiet()
    assert stage.shows(do.State.LISTENING)
    assert not stage.all(do.Commit)


def test_a_change_of_turn_taking_counts_from_now_on() -> None:
    stage, ended_at = spoken(PATIENT_MODEL)
    for event in evidence(stage, 0.0, 0.0):
        stage.feed(event)
    stage.silence(0.5)
    stage.feed(on.TurnTakingChanged(PATIENT_MODEL))
    assert not stage.all(do.Commit)
    stage.feed(on.TurnTakingChanged(TurnTaking(max_delay_s=1.0, speculation=False)))
    assert waited(stage, ended_at) == pytest.approx(1.0, abs=0.04)
