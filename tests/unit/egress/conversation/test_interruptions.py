"""Who may stop the avatar, and what has been heard of it then."""

import pytest

from tests.unit.egress.conversation.driver import (
    TIMING,
    Stage,
)
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Origin, State
from visavis_runtime import subjects


def test_further_words_stop_the_thinking_for_good(stage: Stage) -> None:
    stage.ask()
    stage.voice(0.5)
    stage.silence(0.13)
    assert stage.last(do.Cancel) == do.Cancel(subjects.epoch(1, 0))
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "I mean"))
    assert stage.last(do.Cancel) == do.Cancel(subjects.epoch(1, 2))
    assert not stage.all(do.StopAudio)
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.interrupted, outcome.heard_text) == (True, "")
    stage.say("I mean that.")
    assert stage.last(do.Generate).messages[1:] == (("user", "What is it? I mean that."),)


def test_three_tenths_of_a_second_of_speech_stop_the_speaking(stage: Stage) -> None:
    stage.speaking()
    before = stage.now
    stage.voice(0.5)
    assert stage.times(do.StopAudio) == [pytest.approx(before + 0.26, abs=0.04)]
    assert stage.all(do.StopAudio) == [do.StopAudio(1)]
    played = len(stage.all(do.PlayAudio))
    stage.feed(on.PlaybackFinished(2.1, interrupted=True))
    assert not stage.all(do.RecordOutcome)  # it may still turn out to be no turn
    stage.silence(0.13)
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "But why?"))
    outcome = stage.last(do.RecordOutcome)
    assert outcome.interrupted
    assert outcome.heard_text == "one two three"
    assert stage.brain.history[-1] == ("assistant", "one two three")
    stage.wait(3)
    assert len(stage.all(do.PlayAudio)) == played
    assert len(stage.all(do.RecordOutcome)) == 1
    assert not stage.all(do.EndAudio)


def test_without_the_avatars_report_the_position_is_our_clocks(stage: Stage) -> None:
    stage.speaking()  # 0.5 s heard
    stage.wait(1)
    stage.voice(0.26)
    assert stage.all(do.StopAudio)
    stage.voice(0.1)
    stage.silence(0.13)
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "But why?"))
    assert not stage.all(do.RecordOutcome)
    stage.silence(0.2)
    assert stage.last(do.RecordOutcome).heard_text == "one two"
    stage.feed(on.PlaybackFinished(1.8, interrupted=True))
    assert len(stage.all(do.RecordOutcome)) == 1


def test_what_was_cancelled_is_never_heard_whatever_arrives(stage: Stage) -> None:
    stage.ask()
    old = stage.last(do.Generate).epoch
    stage.type("Something else.")
    stage.feed(on.SentencesReady(old, ("Old.",), True))
    stage.synthesize(old, 0, key=5)
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


def test_what_arrives_while_the_avatars_last_word_is_waited_for_is_not_taken_in(
    stage: Stage,
) -> None:
    stage.ask()
    epoch = stage.generate("One.", complete=False)
    stage.synthesize(epoch, 0, seconds=3.0)
    stage.wait(1)
    stage.feed(on.TextTyped("Stop."))
    stage.feed(on.SentencesReady(epoch, ("One.", "Two."), True))
    assert stage.feed(on.SpeechEnded(epoch, 1, 2400)) == []
    assert [one.text for one in stage.all(do.RecordSentence)] == ["One."]


@pytest.mark.parametrize("text", ["", "Hm."])
def test_a_cough_while_the_avatar_speaks_is_ignored(stage: Stage, text: str) -> None:
    stage.speaking()
    stage.voice(0.1)
    stage.silence(0.7)
    stage.recognise(text)
    assert not stage.all(do.StopAudio)
    assert len(stage.all(do.Commit)) == 1
    assert not stage.is_quiet()
    stage.wait(5)
    assert not stage.last(do.RecordOutcome).interrupted


def test_a_cough_while_thinking_is_ignored(stage: Stage) -> None:
    stage.ask()
    stage.voice(0.1)
    stage.silence(0.7)
    stage.recognise("Hm.")
    assert not stage.all(do.RecordOutcome)
    assert len(stage.all(do.Commit)) == 1


def test_a_short_word_stops_the_speaking_once_it_is_understood(stage: Stage) -> None:
    stage.speaking()
    stage.voice(0.16)
    stage.silence(0.13)
    assert not stage.all(do.StopAudio)
    stage.silence(0.3)
    stage.recognise("No.")
    assert len(stage.all(do.StopAudio)) == 1
    assert stage.last(do.Commit).text == "No."


def test_words_spoken_before_an_answer_began_are_not_lost_for_a_short_last_one(
    stage: Stage,
) -> None:
    stage.voice(1)
    stage.silence(0.55)
    stage.recognise("First.")
    stage.voice(1)  # further words, while the first turn is still being stored
    stage.silence(0.4)
    stage.voice(0.1)
    stage.feed(on.TurnCommitted(1))
    stage.silence(0.6)
    stage.recognise("Second.")
    assert stage.last(do.Commit).text == "Second."


def test_a_text_sent_by_the_api_is_shown_in_the_room(stage: Stage) -> None:
    stage.feed(on.TextTyped("Hello.", "r1"))
    assert stage.last(do.UserCaption).text == "Hello."


def test_a_typed_text_interrupts_and_is_answered(stage: Stage) -> None:
    stage.speaking()
    stage.wait(1)
    stage.feed(on.TextTyped("Stop it."))
    assert stage.all(do.StopAudio) == [do.StopAudio(1)]
    assert stage.last(do.Commit) == do.Commit(
        2, Origin.TEXT, "Stop it.", floor=subjects.epoch(1, 2)
    )
    assert not any(shown.text == "Stop it." for shown in stage.all(do.UserCaption))
    assert stage.last(do.RecordTranscript).text == "Stop it."
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


def test_a_person_who_leaves_is_not_spoken_to(stage: Stage) -> None:
    stage.speaking()
    stage.feed(on.PersonLeft())
    stage.wait(TIMING.back_within_s - 0.1)
    assert stage.feed(on.PersonLeft()) == []
    assert not stage.all(do.StopAudio)
    stage.wait(0.2)
    assert stage.all(do.StopAudio) == [do.StopAudio(1)]
    assert stage.last(do.RecordPresence) == do.RecordPresence(joined=False)
    assert stage.feed(on.PersonLeft()) == []
    stage.feed(on.SayRequested("r1", "Anyone?"))
    stage.feed(on.TurnCommitted(2))
    stage.wait(5)
    assert stage.shows(State.IDLE)
    assert len(stage.all(do.Generate)) == 1
    stage.feed(on.PersonJoined())
    assert stage.last(do.Generate).verbatim == "Anyone?"


def test_a_connection_made_anew_interrupts_nothing(stage: Stage) -> None:
    pcm = stage.speaking(seconds=6.0)
    for _ in range(2):
        stage.feed(on.PersonLeft())
        stage.wait(TIMING.back_within_s - 0.1)
        assert stage.shows(State.SPEAKING)
        stage.feed(on.PersonJoined())
    assert stage.played == pcm
    stage.feed(on.PlaybackFinished(6.0, interrupted=False))
    assert not stage.last(do.RecordOutcome).interrupted
    assert stage.all(do.RecordPresence) == [do.RecordPresence(joined=True)]
    assert not stage.all(do.StopAudio)
    assert stage.shows(State.LISTENING)


def test_words_of_a_person_whose_connection_is_made_anew_are_not_lost(stage: Stage) -> None:
    stage.voice(1)
    stage.feed(on.PersonLeft())
    stage.wait(0.2)
    stage.feed(on.PersonJoined())
    stage.silence(0.55)
    stage.recognise("What is it?")
    assert stage.last(do.Commit).text == "What is it?"


def test_half_a_sentence_of_a_person_who_has_gone_is_not_answered(stage: Stage) -> None:
    stage.voice(1)
    stage.feed(on.PersonLeft())
    stage.wait(TIMING.back_within_s + 0.1)
    stage.feed(on.Transcribed(1, "What is"))
    assert not stage.all(do.Commit)
    assert stage.shows(State.IDLE)


def test_nothing_new_is_said_while_it_is_not_known_who_is_there(stage: Stage) -> None:
    stage.feed(on.PersonLeft())
    stage.feed(on.SayRequested("r1", "Anyone?"))
    stage.feed(on.TurnCommitted(1))
    stage.wait(TIMING.back_within_s - 0.1)
    assert not stage.all(do.Generate)
    stage.feed(on.PersonJoined())
    assert stage.last(do.Generate).verbatim == "Anyone?"


def test_half_a_sentence_of_a_person_who_was_replaced_is_not_answered(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.2)
    asked = stage.last(do.Transcribe)
    assert stage.feed(on.PersonReplaced())[0] == do.RecordPresence(joined=False)
    stage.feed(on.PersonJoined())
    stage.feed(on.Transcribed(asked.revision, "What is"))
    stage.silence(6)
    assert not stage.all(do.Commit)


def test_the_next_persons_words_begin_with_no_sound_of_the_former(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.2)
    first = stage.last(do.Transcribe)
    stage.feed(on.PersonReplaced())
    stage.feed(on.PersonJoined())
    stage.voice(1)
    stage.silence(0.2)
    second = stage.last(do.Transcribe)
    assert second.revision > first.revision
    assert len(second.pcm) == len(first.pcm)
    stage.silence(0.35)
    stage.recognise("Who are you?")
    assert stage.last(do.Commit).text == "Who are you?"


def test_the_answer_goes_on_when_its_person_is_replaced(stage: Stage) -> None:
    stage.speaking(seconds=6.0)
    stage.voice(0.9)
    assert stage.all(do.StopAudio)
    stage.feed(on.PersonReplaced())
    stage.feed(on.PersonJoined())
    assert stage.all(do.RecordResumed)
    assert not stage.all(do.RecordOutcome)


def test_a_short_yes_that_stops_nothing_is_the_reply_as_well(stage: Stage) -> None:
    stage.speaking(seconds=4.0)
    stage.wait(2.8)
    stage.voice(0.16)
    stage.silence(0.13)
    assert not stage.all(do.StopAudio)
    stage.recognise("Yes.")
    stage.silence(0.3)
    assert stage.last(do.Commit).text == "Yes."


def test_what_is_paused_can_still_be_stopped_by_a_call(stage: Stage) -> None:
    stage.speaking()
    stage.voice(0.5)
    stage.feed(on.PlaybackFinished(1.0, interrupted=True))
    assert (stage.brain.epoch, stage.brain.stoppable) == (0, 1)
    stage.feed(on.InterruptRequested())
    assert stage.brain.stoppable is None
    assert stage.last(do.RecordOutcome).interrupted
