"""Answers begun before the turn is over: used when they fit, and otherwise as if never made."""

from collections.abc import Iterable

import pytest

from tests.unit.egress.conversation.driver import TIMING, Stage
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Speculation
from visavis_egress.conversation.config import Timing, TurnTaking
from visavis_runtime import subjects

EAGER = TurnTaking()
TOLD = (do.RecordSentence, do.RecordError, do.RecordPlayback, do.RecordOutcome, do.AgentCaption)
"""What an answer tells, besides its work and its sound."""


def eager(timing: Timing = TIMING, taking: TurnTaking = EAGER) -> Stage:
    """Somebody whose words are answered at the dip."""
    return Stage(timing=timing, taking=taking).seat()


def outcomes(stage: Stage) -> list[tuple[int, Speculation]]:
    return [(one.epoch & 0xFFFF, one.outcome) for one in stage.all(do.CountSpeculation)]


def told(stage: Stage, kinds: Iterable[type[do.Command]] = TOLD) -> list[do.Command]:
    return [entry.command for entry in stage.log if isinstance(entry.command, tuple(kinds))]


def assert_nothing_was_told(stage: Stage) -> None:
    assert told(stage) == []
    assert not stage.all(do.PlayAudio)
    assert not stage.all(do.EndAudio)


def test_the_words_score_is_waited_for_a_tenth_of_a_second() -> None:
    stage = eager()
    stage.voice(1)
    stage.silence(0.13)
    stage.understand("What is it?")
    assert not stage.all(do.Generate)
    stage.wait(TIMING.draft_wait_s + 0.01)
    assert stage.last(do.Generate).speculative


def test_words_that_are_going_on_are_answered_only_after_a_longer_silence() -> None:
    stage = eager()
    stage.voice(1)
    stage.silence(0.13)
    stage.understand("What is")
    stage.feed(on.TextScored(stage.snapshots[-1].revision, 0.01))
    stage.silence(EAGER.mid_delay_s - 0.2)
    assert not stage.all(do.Generate)
    stage.silence(0.2)
    assert stage.last(do.Generate).speculative


def test_the_text_at_the_dip_is_answered_at_once_and_says_so() -> None:
    stage = eager()
    stage.say_so_far("What is it?")
    assert stage.all(do.Generate) == [
        do.Generate(
            1,
            subjects.epoch(1, 1),
            (("system", "Be kind."), ("user", "What is it?")),
            speculative=True,
        )
    ]
    assert not stage.all(do.Commit)
    assert stage.shows(do.State.LISTENING)
    assert not stage.brain.epoch
    assert stage.brain.epoch == 0


def test_nothing_is_told_or_heard_before_the_turn_is_stored() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    pcm = stage.answer("It is this.", "And that.")
    assert_nothing_was_told(stage)
    stage.decide(revision)
    commit = stage.last(do.Commit)
    assert (commit.turn, commit.text, commit.floor) == (1, "What is it?", subjects.epoch(1, 1))
    stage.wait(1)
    assert_nothing_was_told(stage)
    assert outcomes(stage) == []
    out = stage.feed(on.TurnCommitted(1))
    kinds = [type(command) for command in out]
    assert kinds[:3] == [do.CountSpeculation, do.RecordSentence, do.RecordSentence]
    assert kinds[3] is do.PlayAudio
    assert told(stage) == [
        do.RecordSentence(1, 0, "It is this."),
        do.RecordSentence(1, 1, "And that."),
    ]
    assert outcomes(stage) == [(1, Speculation.USED)]
    stage.wait(5)
    assert stage.played == pcm
    assert len(stage.all(do.Generate)) == 1
    assert not stage.all(do.Cancel)[1:]
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.heard_text, outcome.epoch) == ("It is this. And that.", subjects.epoch(1, 1))
    assert stage.brain.history == (
        ("user", "What is it?"),
        ("assistant", "It is this. And that."),
    )


def test_the_steps_of_a_turn_are_its_own_though_some_came_before_its_end() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    stage.wait(0.05)
    stage.answer("It is this.")
    early = stage.now
    stage.decide(revision)
    decided = stage.now
    stage.feed(on.TurnCommitted(1))
    stage.wait(4)
    steps = stage.last(do.RecordOutcome).anchors
    assert (steps.first_sentence, steps.first_audio) == (early, early)
    assert steps.origin == pytest.approx(early - 0.13 - 0.05, abs=0.04)
    assert steps.endpoint == pytest.approx(decided, abs=0.15)
    assert steps.handed_over == pytest.approx(decided, abs=0.01)


def test_what_arrives_between_the_commit_and_its_storing_belongs_to_the_answer() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    stage.decide(revision)
    pcm = stage.answer("It is this.")
    assert_nothing_was_told(stage)
    stage.feed(on.TurnCommitted(1))
    stage.wait(4)
    assert stage.played == pcm


def test_going_on_keeps_what_is_equal_though_its_punctuation_differs() -> None:
    stage = eager()
    stage.say_so_far("What is it?")
    pcm = stage.answer("It is this.")
    stage.voice(0.2)
    stage.silence(0.13)
    revision = stage.snapshots[-1].revision
    stage.feed(on.Transcribed(revision, "what is IT..."))
    assert outcomes(stage) == []
    stage.feed(on.Tick())
    stage.decide(revision)
    stage.silence(3)
    assert stage.last(do.Commit).floor == subjects.epoch(1, 1)
    stage.feed(on.TurnCommitted(1))
    stage.wait(4)
    assert outcomes(stage) == [(1, Speculation.USED)]
    assert stage.played == pcm
    assert stage.last(do.RecordOutcome).input_text == "what is IT..."


def test_other_words_void_it_at_once_and_nothing_of_it_is_ever_told() -> None:
    stage = eager()
    stage.say_so_far("What is")
    old = stage.generate("It is nothing.")
    stage.synthesize(old, 0, key=5)
    stage.voice(0.3)
    stage.silence(0.13)
    revision = stage.snapshots[-1].revision
    out = stage.feed(on.Transcribed(revision, "What is it?"))
    cancel, counted = subjects.epoch(1, 2), do.CountSpeculation(old, Speculation.CHANGED)
    kinds = [type(command) for command in out]
    assert out[kinds.index(do.Cancel) :][:2] == [do.Cancel(cancel), counted]
    stage.feed(on.TextScored(revision, 0.3))
    assert stage.last(do.Generate).epoch == cancel
    assert stage.last(do.Generate).messages[-1] == ("user", "What is it?")
    for event in (
        on.SentencesReady(old, ("It is nothing.", "Old."), True),
        on.GenerateFailed(old, "X"),
        on.SynthesizeFailed(old, 0, "X"),
    ):
        stage.feed(event)
    pcm = stage.answer("It is this.")
    stage.decide(revision)
    assert_nothing_was_told(stage)
    assert stage.last(do.Commit).floor == cancel
    stage.feed(on.TurnCommitted(1))
    stage.wait(4)
    assert stage.played == pcm
    assert told(stage, [do.RecordSentence]) == [do.RecordSentence(1, 0, "It is this.")]
    assert stage.brain.history[-1] == ("assistant", "It is this.")
    assert outcomes(stage) == [(1, Speculation.CHANGED), (2, Speculation.USED)]


def test_a_second_of_further_speech_voids_it() -> None:
    stage = eager()
    stage.say_so_far("What is it?")
    stage.voice(0.9)
    assert outcomes(stage) == []
    stage.voice(0.2)
    assert outcomes(stage) == [(1, Speculation.WENT_ON)]
    assert stage.last(do.Cancel) == do.Cancel(subjects.epoch(1, 2))
    assert len(stage.all(do.Generate)) == 1
    assert_nothing_was_told(stage)


def test_a_typed_text_that_comes_first_voids_it_and_is_answered_alone() -> None:
    stage = eager()
    stage.say_so_far("What is it?")
    old = stage.generate("It is nothing.")
    stage.synthesize(old, 0, key=5)
    stage.type("What is it?")
    assert outcomes(stage) == [(1, Speculation.DROPPED)]
    assert stage.last(do.Commit).floor == subjects.epoch(1, 2)
    ask = stage.last(do.Generate)
    assert (ask.epoch, ask.speculative) == (subjects.epoch(1, 2), False)
    pcm = stage.answer("It is this.")
    stage.wait(4)
    assert stage.played == pcm


def test_an_announcement_that_comes_first_voids_it_and_the_words_are_answered_after() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    stage.feed(on.SayRequested("r1", "Listen."))
    stage.feed(on.TurnCommitted(1))
    stage.decide(revision)
    assert [(one.turn, one.floor & 0xFFFF) for one in stage.all(do.Commit)] == [(1, 2), (2, 2)]
    assert outcomes(stage) == [(1, Speculation.DROPPED)]
    stage.feed(on.TurnCommitted(2))
    stage.answer("Listen.")
    stage.wait(4)
    ask = stage.last(do.Generate)
    assert (ask.turn, ask.speculative) == (2, False)
    assert ask.messages[-2:] == (("assistant", "Listen."), ("user", "What is it?"))


def test_a_person_who_leaves_and_an_end_void_it() -> None:
    stage = eager()
    stage.say_so_far("What is")
    stage.feed(on.PersonLeft())
    stage.wait(TIMING.back_within_s + 0.05)
    assert outcomes(stage) == [(1, Speculation.DROPPED)]
    other = eager()
    other.say_so_far("What is it?")
    other.feed(on.EndRequested(1))
    assert outcomes(other) == [(1, Speculation.DROPPED)]
    assert other.last(do.Cancel) == do.Cancel(subjects.epoch(1, 2))
    assert_nothing_was_told(other)


def test_a_change_of_the_persona_voids_it_when_the_turn_begins() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    stage.answer("It is this.")
    stage.feed(on.PersonaChanged("Be brief.", ""))
    stage.decide(revision)
    assert stage.last(do.Commit).floor == subjects.epoch(1, 2)
    stage.feed(on.TurnCommitted(1))
    assert outcomes(stage) == [(1, Speculation.DROPPED)]
    assert stage.last(do.Generate).messages[0] == ("system", "Be brief.")
    assert_nothing_was_told(stage)


def test_a_draft_that_failed_is_made_anew_and_its_failure_is_not_told() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    stage.feed(on.GenerateFailed(stage.last(do.Generate).epoch, "OVERLOADED"))
    stage.decide(revision)
    stage.feed(on.TurnCommitted(1))
    assert outcomes(stage) == [(1, Speculation.DROPPED)]
    assert not stage.all(do.RecordError)
    ask = stage.last(do.Generate)
    assert (ask.epoch, ask.speculative) == (subjects.epoch(1, 2), False)


def test_a_sentence_of_a_draft_that_cannot_be_spoken_is_told_at_the_release() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    epoch = stage.generate("One.", "Two.")
    stage.feed(on.SynthesizeFailed(epoch, 0, "X"))
    pcm = stage.synthesize(epoch, 1, key=2)
    assert_nothing_was_told(stage)
    stage.decide(revision)
    stage.feed(on.TurnCommitted(1))
    assert [type(one) for one in told(stage)] == [
        do.RecordSentence,
        do.RecordSentence,
        do.RecordError,
    ]
    stage.wait(4)
    assert stage.played == pcm


def test_a_gap_in_a_drafts_sound_is_looked_for_before_the_turn_is_over() -> None:
    stage = eager()
    stage.say_so_far("What is it?")
    epoch = stage.generate("One.")
    assert stage.feed(on.SpeechEnded(epoch, 0, 2400)) == [do.RepairSpeech(epoch)]


def test_sentences_after_the_second_are_asked_for_at_the_release_and_after() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    epoch = stage.generate("One.", "Two.", "Three.", complete=False)
    assert len(stage.all(do.Synthesize)) == 1  # the apology's
    stage.decide(revision)
    stage.feed(on.TurnCommitted(1))
    assert stage.all(do.Synthesize)[1:] == [do.Synthesize(1, epoch, 2, 0, "Three.")]
    stage.feed(on.SentencesReady(epoch, ("One.", "Two.", "Three.", "Four."), True))
    assert stage.all(do.Synthesize)[2:] == [do.Synthesize(1, epoch, 3, 0, "Four.")]
    sound = b"".join(stage.synthesize(epoch, index, 0.5, index + 1) for index in range(4))
    stage.wait(5)
    assert stage.played == sound
    assert len(stage.all(do.Synthesize)) == 3
