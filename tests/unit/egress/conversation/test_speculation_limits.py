"""When answers are begun early: how many, for whom, and with an avatar that comes and goes."""

import dataclasses

import pytest

from tests.unit.egress.conversation.driver import PERSONA, TIMING, Stage
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Speculation
from visavis_egress.conversation.config import Timing, TurnTaking

EAGER = TurnTaking()


def eager(timing: Timing = TIMING, taking: TurnTaking = EAGER) -> Stage:
    """Somebody whose words are answered at the dip."""
    return Stage(timing=timing, taking=taking).seat()


def outcomes(stage: Stage) -> list[tuple[int, Speculation]]:
    return [(one.epoch & 0xFFFF, one.outcome) for one in stage.all(do.CountSpeculation)]


def test_time_outs_of_a_draft_begin_with_its_turn() -> None:
    stage = eager(taking=dataclasses.replace(EAGER, manual=True))
    stage.feed(on.TalkPressed())
    stage.say_so_far("What is it?")
    stage.silence(12)
    assert not stage.all(do.RecordError)
    stage.feed(on.TalkReleased())
    stage.feed(on.TurnCommitted(1))
    stage.wait(9.9)
    assert not stage.all(do.RecordError)
    stage.wait(0.2)
    assert stage.last(do.RecordError).code == "LLM_TIMEOUT"


def test_a_turn_has_four_drafts_at_most_and_the_next_one_its_own() -> None:
    stage = eager()
    for number in range(6):
        revision = stage.say_so_far(f"Word {number}", 0.2)
    assert len(stage.all(do.Generate)) == TIMING.speculations_a_turn == 4
    stage.decide(revision)
    stage.feed(on.TurnCommitted(1))
    assert not stage.last(do.Generate).speculative
    stage.answer("Yes.")
    stage.wait(4)
    stage.say_so_far("Next.")
    assert stage.last(do.Generate).speculative


def test_a_session_has_so_many_drafts_and_then_waits_for_its_turns() -> None:
    stage = eager(dataclasses.replace(TIMING, speculations_a_session=2))
    for number in range(4):
        stage.decide(stage.say_so_far(f"Word {number}"))
        stage.feed(on.TurnCommitted(number + 1))
        stage.answer("Yes.")
        stage.wait(4)
    assert [one.speculative for one in stage.all(do.Generate)] == [True, True, False, False]


def test_switched_off_nothing_is_begun() -> None:
    stage = eager(taking=TurnTaking(speculation=False))
    stage.say_so_far("What is it?")
    assert not stage.all(do.Generate)


def test_a_model_that_acts_is_shown_nothing_early_whatever_a_session_wants() -> None:
    stage = eager(dataclasses.replace(TIMING, stateful_model=True))
    stage.feed(on.TurnTakingChanged(EAGER))
    stage.decide(stage.say_so_far("What is it?"))
    assert not stage.all(do.Generate)
    assert not stage.all(do.ScoreText)
    stage.feed(on.TurnCommitted(1))
    assert not stage.last(do.Generate).speculative


@pytest.mark.parametrize("before", [on.DrainRequested(), on.PersonLeft()])
def test_nothing_is_begun_for_nobody(before: on.Event) -> None:
    stage = eager()
    stage.feed(before)
    stage.say_so_far("What is it?")
    assert not stage.all(do.Generate)


def test_nothing_is_begun_while_an_answer_is_heard() -> None:
    stage = eager(taking=dataclasses.replace(EAGER, interruptible=False))
    stage.feed(on.SayRequested("r1", "Listen."))
    stage.feed(on.TurnCommitted(1))
    stage.answer("Listen to me.", seconds=5.0)
    stage.say_so_far("What is it?")
    assert len(stage.all(do.Generate)) == 1


def test_a_noise_is_not_answered() -> None:
    stage = eager()
    stage.say_so_far(" ")
    assert not stage.all(do.Generate)


def test_an_avatar_that_comes_after_the_draft_speaks_it() -> None:
    stage = Stage(PERSONA, taking=EAGER)
    stage.feed(on.PersonJoined())
    revision = stage.say_so_far("What is it?")
    pcm = stage.answer("It is this.")
    stage.feed(on.AvatarReady())
    stage.decide(revision)
    stage.feed(on.TurnCommitted(1))
    stage.wait(4)
    assert stage.played == pcm


def test_an_avatar_lost_before_the_release_speaks_it_when_it_is_back() -> None:
    stage = eager()
    revision = stage.say_so_far("What is it?")
    pcm = stage.answer("It is this.")
    stage.feed(on.AvatarLost())
    stage.decide(revision)
    stage.feed(on.TurnCommitted(1))
    stage.wait(1)
    assert not stage.all(do.PlayAudio)
    stage.feed(on.AvatarReady())
    stage.wait(4)
    assert stage.played == pcm


def test_a_turn_that_could_not_be_stored_is_not_answered_by_its_draft() -> None:
    stage = eager()
    stage.prepare_apology()
    revision = stage.say_so_far("What is it?")
    stage.answer("It is this.")
    stage.decide(revision)
    stage.wait(TIMING.commit_timeout_s + 5)
    assert outcomes(stage) == [(1, Speculation.DROPPED)]
    assert stage.last(do.RecordOutcome).heard_text == "Sorry about that."


def test_words_after_the_commit_void_no_draft_any_more() -> None:
    stage = eager()
    stage.decide(stage.say_so_far("What is it?"))
    pcm = stage.answer("It is this.", seconds=3.0)
    stage.voice(0.2)
    stage.silence(0.13)
    stage.feed(on.Transcribed(stage.snapshots[-1].revision, "And why?"))
    assert outcomes(stage) == []
    stage.feed(on.TurnCommitted(1))
    assert outcomes(stage) == [(1, Speculation.USED)]
    assert stage.played == pcm[: len(stage.played)]
