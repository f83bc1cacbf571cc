"""What a successor reads in the streams."""

from typing import Any

import pytest

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation.commands import Origin
from visavis_egress.recovery import Past, fold, recovered
from visavis_runtime.bus import Stored

Step = api.TurnEvent
Fact = pb.Lease | pb.Checkpoint | api.SessionEvent


class Story:
    """Events in their order, `step_s` apart."""

    def __init__(self, step_s: float = 1.0) -> None:
        self.stored: list[Stored] = []
        self._step_s = step_s

    def tell(self, fact: Fact, at_s: float | None = None, **beside: Any) -> "Story":
        record = pb.EventRecord(generation=1, **beside)
        if isinstance(fact, pb.Lease):
            record.lease.CopyFrom(fact)
        elif isinstance(fact, pb.Checkpoint):
            record.checkpoint.CopyFrom(fact)
        else:
            record.event.CopyFrom(fact)
        number = len(self.stored) + 1
        time_s = 100.0 + number * self._step_s if at_s is None else at_s
        self.stored.append(Stored("vv.event.x.sid", record.SerializeToString(), number, time_s))
        return self

    @property
    def past(self) -> Past:
        return fold(self.stored)


def turn(
    number: int,
    step: "api.TurnEvent.Step.ValueType",
    origin: "api.TurnEvent.Origin.ValueType" = Step.ORIGIN_SPEECH,
    **words: str,
) -> api.SessionEvent:
    return api.SessionEvent(
        turn=api.TurnEvent(turn=number, step=step, origin=origin, **words)  # type: ignore[arg-type]
    )


def played(number: int, sentence: int) -> api.SessionEvent:
    step = api.AgentEvent.STEP_PLAYBACK
    return api.SessionEvent(agent=api.AgentEvent(turn=number, sentence=sentence, step=step))


def taken(name: str = "a") -> pb.Lease:
    return pb.Lease(instance=name)


RELEASED = pb.Lease(instance="a", released=True)
READY = api.SessionEvent(session=api.SessionChanged(step=api.SessionChanged.STEP_READY))
COMMITTED, COMPLETED = Step.STEP_COMMITTED, Step.STEP_COMPLETED
INTERRUPTED = Step.STEP_INTERRUPTED


def checkpoint(*entries: tuple[str, str]) -> pb.Checkpoint:
    return pb.Checkpoint(
        history=[pb.ChatMessage(role=role, content=text) for role, text in entries]
    )


def test_nothing_is_a_fresh_session() -> None:
    past = Story().tell(taken()).past
    assert not past.was_ready
    assert not past.is_poisonous
    assert past.ended is None
    assert past.began_at_s == 101.0
    start = recovered(past, None, 5.0, 101.0)
    assert (start.history, start.next_turn, start.open_turns, start.elapsed_s) == ((), 0, (), 0.0)


def test_the_history_is_the_checkpoints() -> None:
    story = Story().tell(turn(1, COMMITTED, input_text="Hi."))
    story.tell(turn(1, COMPLETED, input_text="Hi.", heard_text="Hello."))
    past = story.tell(checkpoint(("user", "Hi."), ("assistant", "Hello."))).past
    assert past.history == [("user", "Hi."), ("assistant", "Hello.")]


def test_outcomes_after_the_checkpoint_are_added_once() -> None:
    story = Story().tell(checkpoint(("user", "One."), ("assistant", "First.")))
    story.tell(turn(2, COMMITTED, input_text="Two."))
    story.tell(turn(2, INTERRUPTED, input_text="Two.", heard_text="Sec"))
    story.tell(turn(3, COMMITTED, Step.ORIGIN_SAY, input_text="Said."))
    past = story.tell(
        turn(3, COMPLETED, Step.ORIGIN_SAY, input_text="Said.", heard_text="Said.")
    ).past
    assert past.history == [
        ("user", "One."),
        ("assistant", "First."),
        ("user", "Two."),
        ("assistant", "Sec Said."),
    ]
    assert not past.open_turns
    assert past.next_turn == 4


def test_a_committed_turn_without_an_outcome_is_open() -> None:
    story = Story().tell(READY).tell(turn(0, COMMITTED, Step.ORIGIN_GREETING, input_text="Hello."))
    story.tell(turn(0, COMPLETED, Step.ORIGIN_GREETING, heard_text="Hello."))
    story.tell(turn(1, COMMITTED, input_text="Why?"))
    story.tell(turn(2, COMMITTED, Step.ORIGIN_SAY, input_text="Say.", request_id="r"))
    past = story.past
    assert past.was_ready
    first, second = recovered(past, None, 7.0, 111.0).open_turns
    assert (first.number, first.origin, first.text) == (1, Origin.SPEECH, "Why?")
    assert (first.sentences, first.is_complete, first.heard, first.failure) == ((), False, 0, "")
    assert first.anchors.origin == 7.0
    assert (second.number, second.origin, second.request_id) == (2, Origin.SAY, "r")
    assert recovered(past, None, 7.0, 111.0).elapsed_s == 10.0


def test_an_utterance_that_was_not_understood_stays_so() -> None:
    (one,) = recovered(Story().tell(turn(1, COMMITTED)).past, None, 0.0, 0.0).open_turns
    assert one.failure


def _result(number: int, *sentences: str, complete: bool = False, error: str = "") -> bytes:
    result = pb.GenerateResult(address=pb.Address(turn=number), sentences=sentences)
    result.complete = complete
    if error:
        result.error.code = error
    return result.SerializeToString()


@pytest.mark.parametrize(
    ("reached", "complete", "error", "expected"),
    [
        (None, False, "", (("A.", "B."), False, 0)),
        (0, True, "", (("A.", "B."), True, 0)),
        (1, True, "", (("A.", "B."), True, 1)),
        (9, True, "", (("A.", "B."), True, 1)),  # the last one is spoken again, not skipped
        (1, False, "ENGINE_FAILED", (("A.", "B."), True, 1)),
    ],
)
def test_sentences_that_there_were_are_kept(
    reached: int | None, complete: bool, error: str, expected: tuple[tuple[str, ...], bool, int]
) -> None:
    story = Story().tell(turn(1, COMMITTED, input_text="Why?"))
    if reached is not None:
        story.tell(played(1, 0)).tell(played(1, reached))
    result = _result(1, "A.", "B.", complete=complete, error=error)
    (one,) = recovered(story.past, result, 0.0, 0.0).open_turns
    assert (one.sentences, one.is_complete, one.heard) == expected


@pytest.mark.parametrize("result", [_result(2, "Old."), _result(1), _result(1, error="BROKEN")])
def test_other_results_are_not_taken_for_the_answer(result: bytes) -> None:
    past = Story().tell(turn(1, COMMITTED, input_text="Why?")).past
    (one,) = recovered(past, result, 0.0, 0.0).open_turns
    assert (one.sentences, one.is_complete) == ((), False)


def test_the_second_open_turn_waits_for_its_own_result() -> None:
    past = Story().tell(turn(1, COMMITTED, input_text="A")).tell(turn(2, COMMITTED)).past
    first, second = recovered(past, _result(2, "For two."), 0.0, 0.0).open_turns
    assert not first.sentences
    assert not second.sentences


def test_the_end_is_found() -> None:
    reason = api.END_REASON_CLIENT_LEFT
    ended = api.SessionChanged(step=api.SessionChanged.STEP_ENDED, reason=reason)
    assert Story().tell(READY).tell(api.SessionEvent(session=ended)).past.ended == reason


def test_three_crashes_in_five_minutes_are_poison() -> None:
    story = Story()
    for number in range(4):
        assert not story.past.is_poisonous
        story.tell(taken(str(number)))
    assert story.past.is_poisonous


def test_a_finished_turn_wipes_the_slate() -> None:
    story = Story()
    for number in range(3):
        story.tell(taken(str(number)))
    story.tell(turn(1, COMMITTED)).tell(turn(1, COMPLETED))
    assert not story.tell(taken("3")).past.is_poisonous
    story.tell(turn(2, COMMITTED))
    assert not story.tell(taken("4")).past.is_poisonous
    assert story.tell(taken("5")).past.is_poisonous


def test_crashes_far_apart_are_not_poison() -> None:
    story = Story(step_s=200.0)
    for number in range(10):
        story.tell(taken(str(number)))
    assert not story.past.is_poisonous


def test_the_window_is_that_of_the_last_three() -> None:
    story = Story().tell(taken(), 0.0).tell(taken(), 1.0)
    for at_s in (1000.0, 1100.0):
        story.tell(taken(), at_s)
    assert not story.past.is_poisonous
    assert story.tell(taken(), 1300.0).past.is_poisonous


def test_releases_do_not_count() -> None:
    story = Story()
    for _ in range(10):
        story.tell(taken()).tell(RELEASED)
    assert not story.tell(taken()).past.is_poisonous


@pytest.mark.parametrize(("epoch", "is_kept"), [(6, False), (7, True), (9, True)])
def test_sentences_that_were_begun_on_other_words_are_not_the_answer(
    epoch: int, is_kept: bool
) -> None:
    past = Story().tell(turn(1, COMMITTED, input_text="Hi."), floor=7).past
    address = pb.Address(turn=1, epoch=epoch)
    result = pb.GenerateResult(address=address, sentences=["Hello."])
    (known,) = recovered(past, result.SerializeToString(), 5.0, 110.0).open_turns
    assert known.sentences == (("Hello.",) if is_kept else ())


def test_what_speech_does_not_stop_is_known_to_a_successor() -> None:
    notice = turn(1, COMMITTED, Step.ORIGIN_SAY, input_text="A notice. And more.")
    past = Story().tell(notice, protected_text="A notice.").past
    (known,) = recovered(past, None, 5.0, 110.0).open_turns
    assert known.protected == "A notice."
