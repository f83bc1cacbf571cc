"""An avatar that comes late, breaks in mid-sentence, or is refused."""

from tests.unit.egress.conversation.driver import (
    Stage,
)
from visavis.session.v1 import session_pb2
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import State


def test_an_avatar_lost_in_mid_sentence_is_given_exactly_the_unheard_rest(stage: Stage) -> None:
    pcm = stage.speaking("one two three four", "five six seven", seconds=2.0)
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
    stage.speaking("one two three four five six seven eight", seconds=8.0)
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
    stage.speaking()
    stage.feed(on.AvatarLost())
    stage.feed(on.TextTyped("Stop."))
    assert not stage.all(do.StopAudio)
    assert stage.last(do.RecordOutcome).interrupted


def test_an_avatar_that_is_ready_twice_gets_one_request(stage: Stage) -> None:
    stage.speaking()
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
    assert stage.shows(State.THINKING)
    stage.feed(on.AvatarReady())
    stage.wait(2)
    assert stage.played == pcm


def test_a_refusal_that_forbids_going_on_ends_the_session(stage: Stage) -> None:
    stage.feed(on.AvatarFailed())
    assert stage.last(do.EndSession).reason == session_pb2.END_REASON_AVATAR_FAILED
