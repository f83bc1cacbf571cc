"""The conversation as a whole: greeting, turns, interruptions, failures."""

import time

import pytest

from tests.unit.egress.conversation.driver import (
    GREETING,
    Stage,
    frames_of,
    sound,
)
from visavis.session.v1 import session_pb2
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Origin, State
from visavis_runtime import subjects


@pytest.fixture
def stage() -> Stage:
    return Stage().seat()


def asked_question(stage: Stage) -> None:
    """The person asked; the language model is at it."""
    stage.say("What is it?")


def speaking(stage: Stage, *texts: str, seconds: float = 4.0) -> bytes:
    """The avatar is half a second into an answer."""
    asked_question(stage)
    pcm = stage.answer(*texts or ("one two three four five six",), seconds=seconds)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(0.5)
    assert stage.state is State.SPEAKING
    return pcm


def test_the_beginning_voids_what_older_holders_left_and_prepares_the_apology() -> None:
    stage = Stage(generation=3)
    first = subjects.epoch(3, 0)
    assert [entry.command for entry in stage.log] == [
        do.Cancel(first),
        do.Synthesize(0, first, 0, 0, "Sorry about that."),
        do.SetState(State.INITIALIZING),
    ]
    assert stage.brain.checkpoint() == do.SaveCheckpoint(0, (), first)
    assert stage.brain.epoch == 0


def test_the_state_is_idle_without_a_person_and_listening_with_one() -> None:
    stage = Stage()
    stage.feed(on.AvatarReady())
    assert stage.state is State.IDLE
    stage.feed(on.PersonJoined())
    assert stage.state is State.LISTENING
    assert stage.feed(on.PersonJoined()) == []
    assert stage.all(do.RecordPresence) == [do.RecordPresence(joined=True)]


def test_the_greeting_comes_with_the_microphone() -> None:
    stage = Stage(GREETING)
    stage.feed(on.AvatarReady())
    stage.feed(on.PersonJoined())
    stage.wait(1)
    assert not stage.all(do.Commit)
    stage.feed(on.MicrophoneReady())
    assert stage.all(do.Commit) == [do.Commit(0, Origin.GREETING, "Hello there.")]
    assert not stage.all(do.Generate)
    stage.feed(on.TurnCommitted(0))
    ask = stage.last(do.Generate)
    assert (ask.turn, ask.messages, ask.verbatim) == (0, (), "Hello there.")
    stage.answer("Hello there.")
    stage.wait(5)
    assert stage.last(do.RecordOutcome).heard_text == "Hello there."
    assert stage.brain.history == (("assistant", "Hello there."),)
    assert len(stage.all(do.Commit)) == 1


def test_the_greeting_comes_three_seconds_after_joining_without_a_microphone() -> None:
    stage = Stage(GREETING)
    stage.feed(on.PersonJoined())
    stage.wait(2.9)
    assert not stage.all(do.Commit)
    stage.wait(0.2)
    assert stage.all(do.Commit)


def test_a_spoken_question_is_committed_before_it_is_asked(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.55)
    assert stage.state is State.THINKING
    assert not stage.brain.is_quiet
    stage.feed(on.Transcribed(stage.last(do.Transcribe).revision, "What is it?"))
    assert stage.all(do.UserCaption) == [do.UserCaption("SG_user_1_1", "What is it?")]
    assert stage.all(do.RecordTranscript) == [do.RecordTranscript(1, "What is it?")]
    assert stage.all(do.Commit) == [do.Commit(1, Origin.SPEECH, "What is it?")]
    assert not stage.all(do.Generate)
    stage.feed(on.TurnCommitted(1))
    assert stage.all(do.Generate) == [
        do.Generate(1, subjects.epoch(1, 1), (("system", "Be kind."), ("user", "What is it?")))
    ]


def test_an_answer_is_spoken_recorded_and_remembered(stage: Stage) -> None:
    asked_question(stage)
    assert stage.brain.epoch == subjects.epoch(1, 1)
    pcm = stage.answer("It is this.", "And that.")
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    assert stage.state is State.SPEAKING
    stage.wait(2.2)
    assert stage.all(do.EndAudio) == [do.EndAudio(1)]
    stage.feed(on.PlaybackFinished(2.0, interrupted=False))
    assert stage.state is State.LISTENING
    assert stage.played == pcm
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.turn, outcome.heard_text) == (1, "It is this. And that.")
    assert not outcome.interrupted
    history = (("user", "What is it?"), ("assistant", "It is this. And that."))
    assert stage.last(do.SaveCheckpoint) == do.SaveCheckpoint(1, history, subjects.epoch(1, 1))
    shown = "".join(caption.delta for caption in stage.all(do.AgentCaption))
    assert shown == "It is this. And that."
    assert [caption.final for caption in stage.all(do.AgentCaption)][-1]
    steps = outcome.anchors
    times = [
        steps.origin,
        steps.endpoint,
        steps.transcript,
        steps.first_sentence,
        steps.first_audio,
        steps.handed_over,
        steps.playback_started,
    ]
    assert times == sorted(time_s or 0.0 for time_s in times)
    assert stage.brain.is_quiet


def test_a_follow_up_is_asked_with_what_was_heard(stage: Stage) -> None:
    asked_question(stage)
    stage.answer("It is this.")
    stage.wait(5)
    stage.say("And then?")
    assert stage.last(do.Generate).messages == (
        ("system", "Be kind."),
        ("user", "What is it?"),
        ("assistant", "It is this."),
        ("user", "And then?"),
    )


def test_noise_without_words_is_no_turn(stage: Stage) -> None:
    stage.voice(0.5)
    stage.silence(0.6)
    stage.feed(on.Transcribed(1, "  "))
    assert not stage.all(do.Commit)
    assert stage.state is State.LISTENING


def test_three_tenths_of_a_second_of_speech_stop_the_thinking(stage: Stage) -> None:
    asked_question(stage)
    stage.voice(0.29)
    assert not [c for c in stage.all(do.Cancel) if c.epoch > subjects.epoch(1, 1)]
    stage.voice(0.04)
    assert stage.last(do.Cancel) == do.Cancel(subjects.epoch(1, 2))
    assert not stage.all(do.StopAudio)
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.interrupted, outcome.heard_text) == (True, "")
    stage.voice(0.5)
    stage.silence(0.55)
    stage.feed(on.Transcribed(stage.last(do.Transcribe).revision, "I mean that."))
    stage.feed(on.TurnCommitted(2))
    assert stage.last(do.Generate).messages[1:] == (("user", "What is it? I mean that."),)


def test_three_tenths_of_a_second_of_speech_stop_the_speaking(stage: Stage) -> None:
    speaking(stage)
    before = stage.now
    stage.voice(0.5)
    assert stage.times(do.StopAudio) == [pytest.approx(before + 0.3, abs=0.04)]
    assert stage.all(do.StopAudio) == [do.StopAudio(1)]
    played = len(stage.all(do.PlayAudio))
    stage.feed(on.PlaybackFinished(2.1, interrupted=True))
    outcome = stage.last(do.RecordOutcome)
    assert outcome.interrupted
    assert outcome.heard_text == "one two three"
    assert stage.brain.history[-1] == ("assistant", "one two three")
    stage.wait(3)
    assert len(stage.all(do.PlayAudio)) == played
    assert len(stage.all(do.RecordOutcome)) == 1
    assert not stage.all(do.EndAudio)


def test_without_the_avatars_report_the_position_is_our_clocks(stage: Stage) -> None:
    speaking(stage)  # 0.5 s heard
    stage.wait(1)
    stage.voice(0.32)
    assert not stage.all(do.RecordOutcome)
    stage.silence(0.35)
    assert stage.last(do.RecordOutcome).heard_text == "one two"
    stage.feed(on.PlaybackFinished(1.8, interrupted=True))
    assert len(stage.all(do.RecordOutcome)) == 1


def test_what_was_cancelled_is_never_heard_whatever_arrives(stage: Stage) -> None:
    asked_question(stage)
    old = stage.last(do.Generate).epoch
    stage.type("Something else.")
    stage.feed(on.SentencesReady(old, ("Old.",), True))
    stage.synthesize(old, 0)
    stage.feed(on.SynthesizeFailed(old, 0, "X"))
    stage.feed(on.GenerateFailed(old, "X"))
    stage.feed(on.CommitRepeated(1))
    stage.feed(on.TurnCommitted(1))
    stage.wait(1)
    assert not stage.all(do.PlayAudio)
    assert not stage.all(do.RecordError)
    pcm = stage.answer("New.")
    stage.wait(1)
    assert stage.played == pcm


def test_a_cough_while_the_avatar_speaks_is_ignored(stage: Stage) -> None:
    speaking(stage)
    stage.voice(0.2)
    stage.silence(0.7)
    assert len(stage.all(do.Transcribe)) == 1
    assert not stage.all(do.StopAudio)
    assert stage.brain.is_quiet is False
    stage.wait(5)
    assert not stage.last(do.RecordOutcome).interrupted


def test_a_cough_while_thinking_is_ignored(stage: Stage) -> None:
    asked_question(stage)
    stage.voice(0.2)
    stage.silence(0.7)
    assert len(stage.all(do.Transcribe)) == 1
    assert not stage.all(do.RecordOutcome)


def test_words_spoken_before_an_answer_began_are_not_lost_for_a_short_last_one(
    stage: Stage,
) -> None:
    stage.voice(1)
    stage.silence(0.55)
    stage.feed(on.Transcribed(1, "First."))
    stage.voice(1)  # further words, while the first turn is still being stored
    stage.silence(0.4)
    stage.voice(0.1)
    stage.feed(on.TurnCommitted(1))
    stage.silence(0.6)
    assert stage.last(do.Transcribe).revision == 2
    stage.feed(on.Transcribed(2, "Second."))
    assert stage.last(do.Commit).text == "Second."


def test_a_typed_text_interrupts_and_is_answered(stage: Stage) -> None:
    speaking(stage)
    stage.wait(1)
    stage.feed(on.TextTyped("Stop it."))
    assert stage.all(do.StopAudio) == [do.StopAudio(1)]
    assert stage.last(do.Commit) == do.Commit(2, Origin.TEXT, "Stop it.")
    assert stage.last(do.UserCaption) == do.UserCaption("SG_user_1_2", "Stop it.")
    stage.feed(on.TurnCommitted(2))
    assert len(stage.all(do.Generate)) == 1  # the stopped answer is settled first
    stage.wait(0.4)
    assert stage.last(do.Generate).turn == 2
    assert stage.last(do.Generate).messages[-1] == ("user", "Stop it.")


def test_a_typed_text_takes_the_place_of_what_is_being_recognised(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.55)
    stage.type("Typed.")
    stage.feed(on.Transcribed(1, "Spoken."))
    assert [commit.text for commit in stage.all(do.Commit)] == ["Typed."]


def test_say_waits_for_its_turn_and_interrupts_nothing(stage: Stage) -> None:
    pcm = speaking(stage, seconds=2.0)
    stage.feed(on.SayRequested("r1", "Announcement."))
    assert stage.last(do.Commit) == do.Commit(2, Origin.SAY, "Announcement.", "r1")
    stage.feed(on.TurnCommitted(2))
    stage.wait(0.5)
    assert not stage.all(do.StopAudio)
    assert len(stage.all(do.Generate)) == 1
    stage.wait(3)
    assert stage.played == pcm
    ask = stage.last(do.Generate)
    assert (ask.turn, ask.verbatim) == (2, "Announcement.")
    stage.answer("Announcement.")
    stage.wait(5)
    assert stage.brain.history[-1][1].endswith(" Announcement.")
    assert stage.last(do.RecordOutcome).origin is Origin.SAY


def test_say_does_not_begin_over_the_persons_words(stage: Stage) -> None:
    stage.voice(0.5)
    stage.feed(on.SayRequested("r1", "Announcement."))
    stage.feed(on.TurnCommitted(1))
    stage.voice(0.5)
    stage.silence(0.55)
    assert not stage.all(do.Generate)
    stage.feed(on.Transcribed(1, ""))
    assert stage.last(do.Generate).verbatim == "Announcement."


def test_a_repeated_request_is_not_spoken_twice(stage: Stage) -> None:
    stage.feed(on.SayRequested("r1", "Once."))
    stage.feed(on.CommitRepeated(1))
    stage.feed(on.TurnCommitted(1))
    stage.wait(30)
    assert not stage.all(do.Generate)
    assert not stage.all(do.RecordOutcome)
    assert stage.state is State.LISTENING
    assert stage.brain.is_quiet


def test_a_commit_without_an_answer_is_apologised_for_and_not_waited_for(stage: Stage) -> None:
    stage.prepare_apology()
    stage.feed(on.TextTyped("Hello?"))
    stage.wait(19.5)
    assert not stage.brain.is_quiet
    stage.wait(10)
    assert stage.brain.is_quiet
    error = stage.last(do.RecordError)
    assert (error.stage, error.code, error.apologised) == ("egress", "COMMIT_TIMEOUT", True)
    assert not stage.all(do.Generate)
    stage.feed(on.TurnCommitted(1))  # the word came after all
    stage.wait(10)
    assert not stage.all(do.Generate)
    assert len(stage.all(do.RecordOutcome)) == 1


def test_a_failed_answer_is_apologised_for_once(stage: Stage) -> None:
    apology = stage.prepare_apology()
    asked_question(stage)
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
    assert stage.state is State.LISTENING


def test_an_apology_that_cannot_be_spoken_either_ends_the_turn(stage: Stage) -> None:
    asked_question(stage)
    stage.feed(on.GenerateFailed(stage.last(do.Generate).epoch, "ENGINE_FAILED"))
    stage.wait(11)
    assert [error.code for error in stage.all(do.RecordError)] == ["ENGINE_FAILED", "TTS_TIMEOUT"]
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.heard_text, outcome.interrupted) == ("", False)
    assert stage.brain.is_quiet
    assert not stage.all(do.PlayAudio)


def test_an_answer_without_sound_is_apologised_for(stage: Stage) -> None:
    stage.prepare_apology()
    asked_question(stage)
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
    assert stage.last(do.Commit) == do.Commit(1, Origin.SPEECH, "")
    stage.feed(on.TurnCommitted(1))
    error = stage.last(do.RecordError)
    assert (error.stage, error.code) == ("asr", "ASR_TIMEOUT")
    assert not stage.all(do.Generate)
    assert not stage.all(do.UserCaption)
    stage.wait(5)
    assert stage.brain.history == (("assistant", "Sorry about that."),)


def test_recognition_that_fails_is_apologised_for_at_once(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.6)
    stage.feed(on.TranscribeFailed(99, "ENGINE_FAILED"))
    assert not stage.all(do.Commit)
    stage.feed(on.TranscribeFailed(1, "ENGINE_FAILED"))
    stage.feed(on.TurnCommitted(1))
    assert stage.last(do.RecordError).code == "ASR_ENGINE_FAILED"


def test_a_person_who_leaves_is_not_spoken_to(stage: Stage) -> None:
    speaking(stage)
    stage.feed(on.PersonLeft())
    assert stage.all(do.StopAudio) == [do.StopAudio(1)]
    assert stage.last(do.RecordPresence) == do.RecordPresence(joined=False)
    assert stage.feed(on.PersonLeft()) == []
    stage.feed(on.SayRequested("r1", "Anyone?"))
    stage.feed(on.TurnCommitted(2))
    stage.wait(5)
    assert stage.state is State.IDLE
    assert len(stage.all(do.Generate)) == 1
    stage.feed(on.PersonJoined())
    assert stage.last(do.Generate).verbatim == "Anyone?"


def test_a_person_who_stays_away_ends_the_session(stage: Stage) -> None:
    stage.feed(on.PersonLeft())
    stage.feed(on.SayRequested("r1", "Anyone?"))
    stage.feed(on.TurnCommitted(1))
    stage.wait(60.1)
    assert stage.last(do.EndSession).reason == session_pb2.END_REASON_CLIENT_LEFT
    assert stage.last(do.RecordOutcome).turn == 1  # committed, never begun, and accounted for


def test_an_avatar_lost_in_mid_sentence_is_given_exactly_the_unheard_rest(stage: Stage) -> None:
    pcm = speaking(stage, "one two three four", "five six seven", seconds=2.0)
    stage.wait(1)  # 1.5 s heard
    stage.feed(on.AvatarLost())
    stage.feed(on.AvatarLost())
    given = len(stage.all(do.PlayAudio))
    stage.wait(3)
    assert len(stage.all(do.PlayAudio)) == given
    stage.feed(on.AvatarReady())
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(4)
    rest = stage.all(do.PlayAudio)[given:]
    assert {piece.request for piece in rest} == {2}
    assert b"".join(piece.pcm for piece in rest) == pcm[round(1.5 * 24_000) * 2 :]
    assert stage.all(do.EndAudio) == [do.EndAudio(2)]
    outcome = stage.last(do.RecordOutcome)
    assert outcome.heard_text == "one two three four five six seven"
    assert not outcome.interrupted


def test_a_stop_after_a_loss_counts_the_position_from_the_answers_beginning(stage: Stage) -> None:
    speaking(stage, "one two three four five six seven eight", seconds=8.0)
    stage.wait(1.5)
    stage.feed(on.AvatarLost())
    stage.feed(on.AvatarReady())
    stage.wait(0.5)
    stage.feed(on.PlaybackStarted())
    stage.wait(2)
    stage.feed(on.TextTyped("Stop."))
    stage.feed(on.PlaybackFinished(2.0, interrupted=True))
    assert stage.last(do.RecordOutcome).heard_text == "one two three four"


def test_a_stop_while_the_avatar_is_gone_waits_for_no_report(stage: Stage) -> None:
    speaking(stage)
    stage.feed(on.AvatarLost())
    stage.feed(on.TextTyped("Stop."))
    assert not stage.all(do.StopAudio)
    assert stage.last(do.RecordOutcome).interrupted


def test_an_avatar_that_is_ready_twice_gets_one_request(stage: Stage) -> None:
    speaking(stage)
    stage.feed(on.AvatarReady())
    stage.wait(5)
    assert {piece.request for piece in stage.all(do.PlayAudio)} == {1}
    assert stage.all(do.EndAudio) == [do.EndAudio(1)]


def test_an_answer_without_an_avatar_waits_for_it() -> None:
    stage = Stage()
    stage.feed(on.PersonJoined())
    stage.type("Hello?")
    pcm = stage.answer("Hello.")
    stage.wait(5)
    assert not stage.all(do.PlayAudio)
    assert stage.state is State.THINKING
    stage.feed(on.AvatarReady())
    stage.wait(2)
    assert stage.played == pcm


def test_draining_finishes_the_running_turn_and_begins_no_other(stage: Stage) -> None:
    pcm = speaking(stage, seconds=2.0)
    stage.feed(on.SayRequested("r1", "Later."))
    stage.feed(on.TurnCommitted(2))
    stage.feed(on.DrainRequested())
    stage.wait(5)
    assert stage.played == pcm
    assert len(stage.all(do.Generate)) == 1
    assert stage.brain.is_quiet
    assert [outcome.turn for outcome in stage.all(do.RecordOutcome)] == [1]


def test_the_end_silences_settles_and_is_final(stage: Stage) -> None:
    speaking(stage)
    stage.feed(on.SayRequested("r1", "Later."))
    stage.feed(on.TurnCommitted(2))
    out = stage.feed(on.EndRequested(session_pb2.END_REASON_API))
    kinds = [type(command) for command in out]
    assert kinds[:2] == [do.Cancel, do.StopAudio]
    assert out[-1] == do.EndSession(session_pb2.END_REASON_API)
    outcomes = stage.all(do.RecordOutcome)
    assert [(outcome.turn, outcome.interrupted) for outcome in outcomes] == [(1, True), (2, True)]
    assert stage.feed(on.TextTyped("Hello?")) == []
    assert stage.wait(10) == []


def test_the_end_settles_an_answer_that_is_being_stopped(stage: Stage) -> None:
    speaking(stage)
    stage.feed(on.TextTyped("Stop."))
    stage.feed(on.EndRequested(session_pb2.END_REASON_ADMIN))
    assert len(stage.all(do.StopAudio)) == 1
    assert [outcome.turn for outcome in stage.all(do.RecordOutcome)] == [1]


def test_a_refusal_that_forbids_going_on_ends_the_session(stage: Stage) -> None:
    stage.feed(on.AvatarFailed())
    assert stage.last(do.EndSession).reason == session_pb2.END_REASON_AVATAR_FAILED


def test_a_session_that_lasts_too_long_is_ended(stage: Stage) -> None:
    stage.now += 3600
    stage.feed(on.Tick())
    assert stage.last(do.EndSession).reason == session_pb2.END_REASON_MAX_DURATION


def test_what_does_not_fit_a_request_is_left_out_and_reported(stage: Stage) -> None:
    for _ in range(3):
        stage.type("x" * 100_000)
        stage.answer("Long.", seconds=0.2)
        stage.wait(4)
    error = stage.last(do.RecordError)
    assert (error.code, error.apologised) == ("CONTEXT_TRIMMED", False)
    assert "1 oldest" in error.message
    for ask in stage.all(do.Generate):
        assert sum(len(text.encode()) for _, text in ask.messages) <= 240_000
    checkpoint = stage.last(do.SaveCheckpoint)
    assert sum(len(text.encode()) for _, text in checkpoint.history) <= 240_000


def test_ten_minutes_of_speech_arrive_whole_and_in_time(stage: Stage) -> None:
    began = time.process_time()
    first_half = 0.0
    for minute in range(10):
        for _ in range(12):
            stage.voice(4.8)
            stage.silence(0.2)
            for command in stage.all(do.Transcribe):
                stage.feed(on.Transcribed(command.revision, f"part{command.revision}"))
        if minute == 4:
            first_half = time.process_time() - began
    whole = time.process_time() - began
    stage.silence(0.6)
    parts = stage.all(do.Transcribe)
    stage.feed(on.Transcribed(parts[-1].revision, f"part{parts[-1].revision}"))
    assert all(len(part.pcm) <= 896_000 for part in parts)
    heard = [number for part in parts for number in frames_of(part.pcm)]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) * 0.032 > 590
    commits = stage.all(do.Commit)
    assert [commit.text for commit in commits] == [
        " ".join(f"part{part.revision}" for part in parts)
    ]
    assert whole < 15
    assert whole - first_half < 3 * first_half + 1


def test_a_long_answer_is_handed_over_in_time(stage: Stage) -> None:
    stage.feed(on.SayRequested("r1", "long"))
    stage.feed(on.TurnCommitted(1))
    epoch = stage.generate("a word " * 600)
    began = time.process_time()
    pcm = b"".join(sound(index, 24_000) for index in range(300))
    for index in reversed(range(300)):
        stage.feed(on.SpeechArrived(epoch, 0, index * 24_000, sound(index, 24_000)))
    stage.feed(on.SpeechEnded(epoch, 0, len(pcm) // 2))
    stage.wait(305)
    assert stage.played == pcm
    assert time.process_time() - began < 15
