"""What the person is told, and the record, when something fails."""

from tests.unit.egress.conversation.driver import (
    Stage,
)
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Origin, State


def test_a_commit_without_an_answer_is_apologised_for_and_not_waited_for(stage: Stage) -> None:
    stage.prepare_apology()
    stage.feed(on.TextTyped("Hello?"))
    stage.wait(19.5)
    assert not stage.is_quiet()
    stage.wait(10)
    assert stage.is_quiet()
    error = stage.last(do.RecordError)
    assert (error.stage, error.code, error.apologised) == ("egress", "COMMIT_TIMEOUT", True)
    assert not stage.all(do.Generate)
    stage.feed(on.TurnCommitted(1))  # the word came after all
    stage.wait(10)
    assert not stage.all(do.Generate)
    assert len(stage.all(do.RecordOutcome)) == 1


def test_a_failed_answer_is_apologised_for_once(stage: Stage) -> None:
    apology = stage.prepare_apology()
    stage.ask()
    epoch = stage.last(do.Generate).epoch
    stage.feed(on.GenerateFailed(epoch, "ENGINE_FAILED"))
    assert stage.all(do.RecordError) == [
        do.RecordError("llm", "ENGINE_FAILED", "the turn could not be answered", 1, apologised=True)
    ]
    assert stage.last(do.Cancel) == do.Cancel(epoch + 1)
    stage.feed(on.GenerateFailed(epoch, "ENGINE_FAILED"))
    stage.wait(5)
    assert stage.played == apology
    assert stage.last(do.RecordOutcome).heard_text == "Sorry about that."
    assert len(stage.all(do.RecordOutcome)) == len(stage.all(do.RecordError)) == 1
    assert stage.shows(State.LISTENING)


def test_an_apology_that_cannot_be_spoken_either_ends_the_turn(stage: Stage) -> None:
    stage.ask()
    stage.feed(on.GenerateFailed(stage.last(do.Generate).epoch, "ENGINE_FAILED"))
    stage.wait(11)
    assert [error.code for error in stage.all(do.RecordError)] == ["ENGINE_FAILED", "TTS_TIMEOUT"]
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.heard_text, outcome.interrupted) == ("", False)
    assert stage.is_quiet()
    assert not stage.all(do.PlayAudio)


def test_an_apology_in_another_voice_than_was_prepared_is_asked_for(stage: Stage) -> None:
    stage.prepare_apology()
    stage.feed(on.PersonaChanged("Be brief.", "af_sky"))
    stage.ask()
    stage.feed(on.GenerateFailed(stage.last(do.Generate).epoch, "ENGINE_FAILED"))
    stage.wait(0.1)
    asked = stage.last(do.Synthesize)
    assert (asked.text, asked.voice) == ("Sorry about that.", "af_sky")
    assert not stage.all(do.PlayAudio)


def test_a_report_of_playback_without_an_answer_is_nobodys(stage: Stage) -> None:
    assert stage.feed(on.PlaybackStarted()) == []
    assert stage.feed(on.PlaybackFinished(1.0, interrupted=False)) == []


def test_an_answer_without_sound_is_apologised_for(stage: Stage) -> None:
    stage.prepare_apology()
    stage.ask()
    epoch = stage.generate("One.")
    stage.feed(on.SynthesizeFailed(epoch, 0, "ENGINE_FAILED"))
    assert [(error.stage, error.code) for error in stage.all(do.RecordError)] == [
        ("tts", "ENGINE_FAILED"),
        ("tts", "NO_SPEECH"),
    ]


def test_recognition_that_does_not_come_is_apologised_for(stage: Stage) -> None:
    stage.prepare_apology()
    stage.voice(1)
    stage.silence(0.6)
    stage.wait(5)
    assert (stage.last(do.Commit).origin, stage.last(do.Commit).text) == (Origin.SPEECH, "")
    stage.feed(on.TurnCommitted(1))
    error = stage.last(do.RecordError)
    assert (error.stage, error.code) == ("asr", "ASR_TIMEOUT")
    assert not stage.all(do.Generate)
    assert not stage.all(do.UserCaption)
    stage.wait(5)
    assert stage.brain.history == (("assistant", "Sorry about that."),)


def test_recognition_that_fails_is_apologised_for_once_the_person_is_done(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.6)
    stage.feed(on.TranscribeFailed(99, "ENGINE_FAILED"))
    assert not stage.all(do.Commit)
    stage.feed(on.TranscribeFailed(stage.snapshots[-1].revision, "ENGINE_FAILED"))
    assert not stage.all(do.Commit)
    stage.silence(2.0)
    stage.feed(on.TurnCommitted(1))
    assert stage.last(do.RecordError).code == "ASR_ENGINE_FAILED"
