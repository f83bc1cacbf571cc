"""What it takes to stop the avatar: echoes, lowered voices, and what speech does not stop."""

import dataclasses

import pytest

from tests.unit.egress.conversation.driver import PERSONA, TIMING, Stage, stage_with
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.config import FRAME_S
from visavis_runtime import subjects

WORDS = "one two three four five six"
GUARDED = dataclasses.replace(TIMING, echo_guard_s=3.0)


def test_at_first_an_echo_does_not_interrupt_and_a_person_does() -> None:
    echo = stage_with(GUARDED)
    echo.speaking(WORDS, seconds=6.0)
    echo.voice(1.5, 0.65)
    assert not echo.all(do.StopAudio)
    person = stage_with(GUARDED)
    person.speaking(WORDS, seconds=6.0)
    began_at = person.now
    person.voice(0.6, 0.9)
    assert person.times(do.StopAudio) == [pytest.approx(began_at + 0.45 - 0.06, abs=0.04)]


def test_the_guard_is_over_after_three_seconds_of_the_call() -> None:
    stage = stage_with(GUARDED)
    stage.speaking(WORDS, seconds=9.0)
    stage.wait(2.6)
    stage.voice(0.3, 0.65)
    assert stage.all(do.StopAudio)


def test_the_guard_is_for_the_first_sound_of_a_call_and_not_of_every_answer() -> None:
    stage = stage_with(GUARDED)
    stage.ask()
    stage.answer("One.", seconds=1.0)
    stage.wait(6)
    stage.speaking(WORDS)
    stage.voice(0.3, 0.65)
    assert stage.all(do.StopAudio)


def test_the_guard_is_no_deafness() -> None:
    stage = stage_with(GUARDED)
    stage.speaking(WORDS, seconds=6.0)
    stage.voice(0.4, 0.65)
    stage.silence(0.5)
    assert not stage.all(do.StopAudio)
    stage.recognise("Wait, why?")
    assert stage.all(do.StopAudio)
    assert stage.last(do.Commit).text == "Wait, why?"


def test_the_avatar_is_lowered_before_it_is_stopped_and_raised_after_a_noise(stage: Stage) -> None:
    stage.speaking(WORDS)
    began_at = stage.now
    stage.voice(0.13)
    assert stage.all(do.Duck) == [do.Duck(True)]
    assert stage.times(do.Duck)[0] - began_at == pytest.approx(2 * FRAME_S)
    stage.silence(0.45)
    assert stage.all(do.Duck) == [do.Duck(True), do.Duck(False)]
    assert not stage.all(do.StopAudio)


def test_it_is_raised_when_it_is_stopped(stage: Stage) -> None:
    stage.speaking(WORDS)
    stage.voice(0.5)
    assert stage.all(do.Duck) == [do.Duck(True), do.Duck(False)]
    assert stage.times(do.Duck)[1] == stage.times(do.StopAudio)[0]


def test_what_nothing_stops_is_not_lowered_either() -> None:
    stage = stage_with(interruptible=False)
    stage.speaking(WORDS)
    stage.voice(0.5)
    assert not stage.all(do.Duck)


def test_in_a_session_that_is_not_interruptible_words_become_the_next_turn() -> None:
    stage = stage_with(interruptible=False)
    pcm = stage.speaking(WORDS)
    stage.voice(1)
    stage.silence(0.55)
    stage.recognise("But why?")
    assert stage.last(do.Commit) == do.Commit(
        2, do.Origin.SPEECH, "But why?", floor=subjects.epoch(1, 2)
    )
    stage.feed(on.TurnCommitted(2))
    assert len(stage.all(do.Generate)) == 1
    stage.wait(6)
    assert not stage.all(do.StopAudio)
    assert stage.played == pcm
    assert not stage.last(do.RecordOutcome).interrupted
    assert stage.last(do.Generate).messages[-1] == ("user", "But why?")


def test_signs_of_attention_to_what_nothing_stops_are_no_turn() -> None:
    stage = stage_with(interruptible=False)
    stage.speaking(WORDS)
    stage.voice(0.5)
    stage.silence(0.55)
    stage.recognise("Mm-hm.")
    assert len(stage.all(do.Commit)) == 1


def test_an_announcement_can_be_such_that_speech_does_not_stop_it(stage: Stage) -> None:
    stage.feed(on.SayRequested("r1", "A legal notice.", interruptible=False))
    stage.feed(on.TurnCommitted(1))
    pcm = stage.answer("A legal notice.", seconds=3.0)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.say("But why?")
    assert not stage.all(do.StopAudio)
    stage.wait(5)
    assert stage.played == pcm
    assert stage.last(do.Generate).messages[-1] == ("user", "But why?")
    assert stage.last(do.Generate).turn == 2


def test_the_disclosure_is_said_to_its_end_and_the_greeting_after_it_stops() -> None:
    persona = dataclasses.replace(PERSONA, greeting="Hello there.", disclosure="I am an AI.")
    stage = Stage(persona).seat()
    stage.feed(on.TurnCommitted(0))
    epoch = stage.generate("I am an AI.", "Hello there.")
    for index in range(2):
        stage.synthesize(epoch, index, 2.0, index + 1)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    began_at = stage.now
    stage.voice(2.5)
    assert stage.times(do.StopAudio) == [pytest.approx(began_at + 2.0, abs=0.05)]
    stage.feed(on.PlaybackFinished(2.0, interrupted=True))
    stage.silence(0.13)
    stage.understand("Who are you?")
    assert stage.last(do.RecordOutcome).heard_text == "I am an AI."


def test_a_call_stops_what_speech_does_not() -> None:
    stage = stage_with(interruptible=False)
    stage.speaking(WORDS)
    stage.feed(on.InterruptRequested())
    assert stage.all(do.StopAudio)
