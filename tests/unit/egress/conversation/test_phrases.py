"""The character's fixed phrases: disclosure, greeting, pardon, nudge."""

import dataclasses

import pytest

from tests.unit.egress.conversation.driver import PATIENT_MODEL, PERSONA, Stage
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Origin
from visavis_egress.conversation.config import Persona
from visavis_egress.conversation.turns import Recovered

OPEN = dataclasses.replace(PERSONA, greeting="Hello there.", disclosure="I am an AI.")
PARDON = dataclasses.replace(PERSONA, pardon="Pardon?")
NUDGE = dataclasses.replace(PERSONA, nudge="Still there?")
NUDGED = dataclasses.replace(PATIENT_MODEL, nudge_after_s=10.0)


def say(stage: Stage, text: str, confidence: float) -> None:
    """The person's words, recognised so surely."""
    stage.voice(1)
    stage.silence(0.4)
    revision = stage.snapshots[-1].revision
    stage.feed(on.Transcribed(revision, text, confidence))
    stage.feed(on.SoundScored(revision, 1.0))
    stage.feed(on.TextScored(revision, 1.0))


def speak_through(stage: Stage) -> None:
    """What was committed last is stored, spoken and over."""
    stage.feed(on.TurnCommitted(stage.last(do.Commit).turn))
    stage.answer("Said.")
    stage.wait(4)
    assert stage.is_quiet()


def commits(stage: Stage) -> list[tuple[Origin, str]]:
    return [(commit.origin, commit.text) for commit in stage.all(do.Commit)]


def test_the_disclosure_comes_before_the_greeting_in_one_turn() -> None:
    stage = Stage(OPEN).seat()
    assert commits(stage) == [(Origin.GREETING, "I am an AI. Hello there.")]
    assert not stage.all(do.RecordPhraseOff)


@pytest.mark.parametrize(
    "persona",
    [
        PERSONA,
        dataclasses.replace(OPEN, disclosure=""),
        dataclasses.replace(OPEN, greeting=""),
    ],
)
def test_a_session_without_a_disclosure_says_so_in_its_record(persona: Persona) -> None:
    assert Stage(persona).all(do.RecordPhraseOff) == [do.RecordPhraseOff("disclosure")]


def test_a_successor_does_not_say_so_again() -> None:
    assert not Stage(PERSONA, recovered=Recovered(next_turn=2)).all(do.RecordPhraseOff)


def test_words_that_were_recognised_badly_are_asked_for_again_once() -> None:
    stage = Stage(PARDON).seat()
    say(stage, "Wad is id?", 0.39)
    assert commits(stage) == [(Origin.SAY, "Pardon?")]
    assert not stage.all(do.RecordTranscript)
    speak_through(stage)
    assert stage.brain.history == (("assistant", "Said."),)
    say(stage, "Wad is id?", 0.39)
    assert commits(stage)[1:] == [(Origin.SPEECH, "Wad is id?")]
    speak_through(stage)
    say(stage, "Wad is id?", 0.39)
    assert commits(stage)[2:] == [(Origin.SAY, "Pardon?")]


@pytest.mark.parametrize("confidence", [0.0, 0.4, 1.0])
def test_words_that_were_recognised_well_or_nobody_knows_how_are_answered(
    confidence: float,
) -> None:
    stage = Stage(PARDON).seat()
    say(stage, "What is it?", confidence)
    assert commits(stage) == [(Origin.SPEECH, "What is it?")]


def test_without_the_phrase_nobody_is_asked_again() -> None:
    stage = Stage().seat()
    say(stage, "Wad is id?", 0.1)
    assert commits(stage) == [(Origin.SPEECH, "Wad is id?")]


def test_a_draft_of_words_that_are_asked_for_again_is_dropped() -> None:
    stage = Stage(PARDON, taking=dataclasses.replace(PATIENT_MODEL, speculation=True)).seat()
    say(stage, "Wad is id?", 0.1)
    stage.feed(on.Tick())
    assert [one.outcome for one in stage.all(do.CountSpeculation)] == [do.Speculation.DROPPED]


def test_words_over_the_avatar_that_were_recognised_badly_stop_it_and_are_asked_for_again() -> None:
    stage = Stage(PARDON).seat()
    stage.speaking()
    say(stage, "Bud wy?", 0.1)
    assert stage.last(do.RecordOutcome).interrupted
    assert commits(stage)[-1] == (Origin.SAY, "Pardon?")


def test_a_silent_person_is_asked_once_until_there_are_words() -> None:
    stage = Stage(NUDGE, taking=NUDGED).seat()
    stage.wait(9.9)
    assert not stage.all(do.Commit)
    stage.wait(0.2)
    assert commits(stage) == [(Origin.SAY, "Still there?")]
    speak_through(stage)
    stage.wait(60)
    assert len(stage.all(do.Commit)) == 1
    stage.say("I am.")
    speak_through(stage)
    stage.wait(9)
    assert len(stage.all(do.Commit)) == 2
    stage.wait(1.1)
    assert commits(stage)[2:] == [(Origin.SAY, "Still there?")]


def test_a_noise_puts_the_nudge_off_and_brings_no_second_one() -> None:
    stage = Stage(NUDGE, taking=NUDGED).seat()
    stage.wait(8)
    stage.voice(0.3)
    stage.silence(0.4)
    stage.understand("")
    stage.wait(9)
    assert not stage.all(do.Commit)
    stage.wait(1.2)
    speak_through(stage)
    stage.voice(0.3)
    stage.silence(0.4)
    stage.understand("")
    stage.wait(20)
    assert len(stage.all(do.Commit)) == 1


def test_nobody_is_nudged_who_is_not_there() -> None:
    stage = Stage(NUDGE, taking=NUDGED)
    stage.wait(30)
    assert not stage.all(do.Commit)


@pytest.mark.parametrize(
    ("persona", "after_s"), [(PERSONA, 10.0), (NUDGE, 0.0)], ids=["no phrase", "no time"]
)
def test_without_the_phrase_or_the_time_there_is_no_nudge(persona: Persona, after_s: float) -> None:
    stage = Stage(persona, taking=dataclasses.replace(NUDGED, nudge_after_s=after_s)).seat()
    stage.wait(60)
    assert not stage.all(do.Commit)


def test_the_nudge_can_be_switched_on_while_the_session_runs() -> None:
    stage = Stage(NUDGE).seat()
    stage.wait(20)
    assert not stage.all(do.Commit)
    stage.feed(on.TurnTakingChanged(NUDGED))
    assert commits(stage) == [(Origin.SAY, "Still there?")]
