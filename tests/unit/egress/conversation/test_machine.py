"""The conversation as a whole: greeting, turns, announcements, the end."""

from tests.unit.egress.conversation.driver import (
    GREETING,
    Stage,
)
from visavis.session.v1 import session_pb2
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Origin, State
from visavis_runtime import subjects


def test_the_beginning_voids_what_older_holders_left_and_prepares_the_apology() -> None:
    stage = Stage(generation=3)
    first = subjects.epoch(3, 0)
    assert [entry.command for entry in stage.log] == [
        do.Cancel(first),
        do.Synthesize(0, first, 0, 0, "Sorry about that."),
        do.RecordPhraseOff("disclosure"),
        do.SetState(State.INITIALIZING),
    ]
    assert stage.brain.checkpoint() == do.SaveCheckpoint(0, (), first)
    assert stage.brain.epoch == 0


def test_the_state_is_idle_without_a_person_and_listening_with_one() -> None:
    stage = Stage()
    stage.feed(on.AvatarReady())
    assert stage.shows(State.IDLE)
    stage.feed(on.PersonJoined())
    assert stage.shows(State.LISTENING)
    assert stage.feed(on.PersonJoined()) == []
    assert stage.all(do.RecordPresence) == [do.RecordPresence(joined=True)]


def test_the_greeting_comes_with_the_microphone() -> None:
    stage = Stage(GREETING)
    stage.feed(on.AvatarReady())
    stage.feed(on.PersonJoined())
    stage.wait(1)
    assert not stage.all(do.Commit)
    stage.feed(on.MicrophoneReady())
    assert stage.all(do.Commit) == [
        do.Commit(0, Origin.GREETING, "Hello there.", floor=subjects.epoch(1, 1))
    ]
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
    assert not stage.is_quiet()
    stage.recognise("What is it?")
    assert stage.all(do.UserCaption) == [
        do.UserCaption("SG_user_1_1", "What is it?", final=False),
        do.UserCaption("SG_user_1_1", "What is it?"),
    ]
    assert stage.all(do.RecordTranscript) == [do.RecordTranscript(1, "What is it?")]
    assert stage.all(do.Commit) == [
        do.Commit(1, Origin.SPEECH, "What is it?", floor=subjects.epoch(1, 1))
    ]
    assert not stage.all(do.Generate)
    stage.feed(on.TurnCommitted(1))
    assert stage.all(do.Generate) == [
        do.Generate(1, subjects.epoch(1, 1), (("system", "Be kind."), ("user", "What is it?")))
    ]


def test_an_answer_is_spoken_recorded_and_remembered(stage: Stage) -> None:
    stage.ask()
    assert stage.brain.epoch == subjects.epoch(1, 1)
    pcm = stage.answer("It is this.", "And that.")
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    assert stage.shows(State.SPEAKING)
    stage.wait(2.2)
    assert stage.all(do.EndAudio) == [do.EndAudio(1)]
    stage.feed(on.PlaybackFinished(2.0, interrupted=False))
    assert stage.shows(State.LISTENING)
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
    assert stage.is_quiet()


def test_a_follow_up_is_asked_with_what_was_heard(stage: Stage) -> None:
    stage.ask()
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
    assert stage.shows(State.LISTENING)


def test_say_waits_for_its_turn_and_interrupts_nothing(stage: Stage) -> None:
    pcm = stage.speaking(seconds=2.0)
    stage.feed(on.SayRequested("r1", "Announcement."))
    assert stage.last(do.Commit) == do.Commit(
        2, Origin.SAY, "Announcement.", "r1", subjects.epoch(1, 2)
    )
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
    stage.recognise("")
    assert stage.last(do.Generate).verbatim == "Announcement."


def test_a_repeated_request_is_not_spoken_twice(stage: Stage) -> None:
    stage.feed(on.SayRequested("r1", "Once."))
    stage.feed(on.CommitRepeated(1))
    stage.feed(on.TurnCommitted(1))
    stage.wait(30)
    assert not stage.all(do.Generate)
    assert not stage.all(do.RecordOutcome)
    assert stage.shows(State.LISTENING)
    assert stage.is_quiet()


def test_a_person_who_stays_away_ends_the_session(stage: Stage) -> None:
    stage.feed(on.PersonLeft())
    stage.feed(on.SayRequested("r1", "Anyone?"))
    stage.feed(on.TurnCommitted(1))
    stage.wait(60.1)
    assert stage.last(do.EndSession).reason == session_pb2.END_REASON_CLIENT_LEFT
    assert stage.last(do.RecordOutcome).turn == 1  # committed, never begun, and accounted for


def test_draining_finishes_the_running_turn_and_begins_no_other(stage: Stage) -> None:
    pcm = stage.speaking(seconds=2.0)
    stage.feed(on.SayRequested("r1", "Later."))
    stage.feed(on.TurnCommitted(2))
    stage.feed(on.DrainRequested())
    stage.wait(5)
    assert stage.played == pcm
    assert len(stage.all(do.Generate)) == 1
    assert stage.is_quiet()
    assert [outcome.turn for outcome in stage.all(do.RecordOutcome)] == [1]


def test_the_end_silences_settles_and_is_final(stage: Stage) -> None:
    stage.speaking()
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
    stage.speaking()
    stage.feed(on.TextTyped("Stop."))
    stage.feed(on.EndRequested(session_pb2.END_REASON_ADMIN))
    assert len(stage.all(do.StopAudio)) == 1
    assert [outcome.turn for outcome in stage.all(do.RecordOutcome)] == [1]


def test_a_session_that_lasts_too_long_is_ended(stage: Stage) -> None:
    stage.now += 3600
    stage.feed(on.Tick())
    assert stage.last(do.EndSession).reason == session_pb2.END_REASON_MAX_DURATION
