"""The turn is what is said while a button is held."""

import dataclasses

import pytest

from tests.unit.egress.conversation.driver import (
    PATIENT_MODEL,
    TIMING,
    Stage,
    frames_of,
    stage_with,
)
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.config import PROFILES

MANUAL = dataclasses.replace(PATIENT_MODEL, manual=True)


@pytest.fixture
def held() -> Stage:
    """The button is down; half a second of silence was before."""
    stage = stage_with(manual=True)
    stage.silence(0.5)
    stage.feed(on.TalkPressed())
    return stage


def test_without_the_button_nothing_is_listened_to() -> None:
    stage = stage_with(manual=True)
    stage.voice(2)
    stage.silence(3)
    assert not stage.all(do.Transcribe)
    stage.feed(on.TalkReleased())
    assert stage.is_quiet()


def test_outside_push_to_talk_the_button_means_nothing(stage: Stage) -> None:
    stage.feed(on.TalkPressed())
    stage.feed(on.TalkReleased())
    stage.silence(3)
    assert not stage.all(do.Transcribe)
    assert stage.is_quiet()


def test_the_turn_is_over_when_the_button_is_up_and_has_300_ms_of_before(held: Stage) -> None:
    pressed_at = held.frames
    held.voice(1)
    held.feed(on.TalkReleased())
    assert len(held.snapshots) == 1
    frames = frames_of(held.snapshots[0].pcm)
    assert frames == list(range(pressed_at - 9 + 1, held.frames + 1))
    held.understand("What is it?")
    assert held.last(do.Commit).text == "What is it?"
    assert not held.all(do.ScoreText)
    assert not held.all(do.ScoreSound)


def test_no_silence_ends_the_turn_while_the_button_is_held(held: Stage) -> None:
    held.voice(1)
    held.silence(8)
    held.understand("What")
    held.silence(8)
    assert not held.all(do.Commit)
    held.voice(1)
    held.feed(on.TalkReleased())
    held.understand("What is it?")
    assert [commit.text for commit in held.all(do.Commit)] == ["What is it?"]


def test_the_text_of_the_last_dip_is_the_turns_when_nothing_followed(held: Stage) -> None:
    held.voice(1)
    held.silence(0.5)
    held.understand("What is it?")
    held.feed(on.TalkReleased())
    assert held.last(do.Commit).text == "What is it?"
    assert len(held.snapshots) == 1


def test_what_is_said_after_the_release_does_not_belong_to_the_turn(held: Stage) -> None:
    held.voice(1)
    held.feed(on.TalkReleased())
    released_at = held.frames
    held.voice(3)
    assert len(held.snapshots) == 1
    assert frames_of(held.snapshots[0].pcm)[-1] == released_at
    held.understand("What is it?")
    assert held.last(do.Commit).text == "What is it?"


def test_the_button_alone_is_no_turn(held: Stage) -> None:
    held.feed(on.TalkReleased())
    held.understand("")
    assert held.is_quiet()
    assert not held.all(do.Commit)


def test_the_button_without_a_microphone_is_no_turn() -> None:
    stage = stage_with(manual=True)
    stage.feed(on.TalkPressed())
    stage.wait(1)
    stage.feed(on.TalkReleased())
    assert not stage.all(do.Transcribe)
    assert stage.is_quiet()
    stage.feed(on.SayRequested("r1", "Listen."))
    stage.feed(on.TurnCommitted(1))
    assert stage.all(do.Generate)


def test_a_second_press_before_the_text_is_there_goes_on(held: Stage) -> None:
    held.voice(1)
    held.feed(on.TalkReleased())
    held.silence(0.2)
    held.feed(on.TalkPressed())
    held.feed(on.TalkPressed())  # told twice
    held.understand("What")
    assert not held.all(do.Commit)
    held.voice(1)
    held.feed(on.TalkReleased())
    held.understand("What is it?")
    assert [commit.text for commit in held.all(do.Commit)] == ["What is it?"]


def test_a_release_that_was_lost_ends_the_turn_after_20_s(held: Stage) -> None:
    held.voice(1)
    held.silence(0.2)
    held.understand("What is it?")
    held.silence(TIMING.held_s - 1)
    assert not held.all(do.Commit)
    held.silence(1)
    assert held.last(do.Commit).text == "What is it?"


def test_the_button_stops_the_avatar_at_once_and_a_sign_of_attention_is_a_turn() -> None:
    stage = stage_with(manual=True)
    stage.feed(on.TextTyped("What is it?"))
    stage.feed(on.TurnCommitted(1))
    stage.answer("one two three four", seconds=4.0)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(0.5)
    stage.feed(on.TalkPressed())
    assert stage.all(do.StopAudio)
    stage.voice(0.5)
    stage.silence(0.13)
    stage.understand("Okay.")
    stage.silence(1)
    assert not stage.all(do.RecordResumed)  # the button is still held
    stage.feed(on.TalkReleased())
    assert stage.last(do.Commit).text == "Okay."
    assert stage.last(do.RecordOutcome).interrupted


def test_a_button_pressed_for_nothing_gives_the_floor_back() -> None:
    stage = stage_with(manual=True)
    stage.feed(on.TextTyped("What is it?"))
    stage.feed(on.TurnCommitted(1))
    pcm = stage.answer("one two three four", seconds=2.0)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(0.5)
    stage.feed(on.TalkPressed())
    stage.feed(on.PlaybackFinished(0.5, interrupted=True))
    count = len(stage.all(do.PlayAudio))
    stage.silence(1)
    stage.feed(on.TalkReleased())
    stage.understand(" ")
    stage.silence(0.1)
    assert stage.all(do.RecordResumed)
    stage.wait(4)
    assert b"".join(one.pcm for one in stage.all(do.PlayAudio)[count:]) == pcm[24_000:]


def test_an_utterance_is_over_when_push_to_talk_begins_in_it(stage: Stage) -> None:
    stage.voice(1)
    stage.feed(on.TurnTakingChanged(MANUAL))
    assert len(stage.snapshots) == 1
    stage.understand("What is it?")
    assert stage.last(do.Commit).text == "What is it?"


def test_an_utterance_ends_by_itself_when_push_to_talk_ends_in_it(held: Stage) -> None:
    held.voice(1)
    held.feed(on.TurnTakingChanged(PATIENT_MODEL))
    held.silence(0.13)
    held.recognise("What is it?")
    held.silence(0.3)
    assert held.last(do.Commit).text == "What is it?"


def test_a_button_that_was_held_for_nothing_is_forgotten_with_push_to_talk(held: Stage) -> None:
    held.feed(on.TurnTakingChanged(PATIENT_MODEL))
    held.feed(on.SayRequested("r1", "Listen."))
    held.feed(on.TurnCommitted(1))
    assert held.all(do.Generate)


def test_other_numbers_leave_the_button_alone(held: Stage) -> None:
    held.voice(1)
    held.feed(on.TurnTakingChanged(PROFILES["manual"]))
    held.silence(3)
    assert not held.all(do.Commit)
    held.feed(on.TalkReleased())
    held.understand("What is it?")
    assert held.all(do.Commit)
