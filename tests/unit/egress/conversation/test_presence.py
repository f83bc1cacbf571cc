"""Who is in the room, and the ends that follow from it."""

from visavis.session.v1 import session_pb2
from visavis_egress.conversation.config import Timing
from visavis_egress.conversation.presence import Presence

TIMING = Timing()


def test_nobody_is_there_at_first() -> None:
    presence = Presence(TIMING, 0.0)
    assert not presence.is_there
    assert not presence.may_greet(100.0)
    assert presence.end_reason(119.9) is None


def test_a_person_who_never_comes_ends_the_session_after_two_minutes() -> None:
    assert Presence(TIMING, 0.0).end_reason(120.0) == session_pb2.END_REASON_NEVER_JOINED


def test_a_successor_waits_for_the_person_from_its_own_start() -> None:
    presence = Presence(TIMING, 0.0, elapsed_s=1000.0)
    assert presence.end_reason(119.0) is None
    assert presence.end_reason(120.0) == session_pb2.END_REASON_NEVER_JOINED
    presence.joined(100.0)
    assert presence.end_reason(2599.0) is None
    assert presence.end_reason(2600.0) == session_pb2.END_REASON_MAX_DURATION


def test_a_person_who_left_may_come_back_within_a_minute() -> None:
    presence = Presence(TIMING, 0.0)
    presence.joined(5.0)
    presence.left(10.0)
    presence.left(60.0)
    was_there = presence.is_there
    assert presence.end_reason(69.9) is None
    presence.joined(69.9)
    assert (was_there, presence.is_there) == (False, True)
    assert presence.end_reason(500.0) is None
    presence.left(500.0)
    assert presence.end_reason(560.0) == session_pb2.END_REASON_CLIENT_LEFT


def test_a_session_ends_after_an_hour() -> None:
    presence = Presence(TIMING, 0.0)
    presence.joined(1.0)
    assert presence.end_reason(3599.0) is None
    assert presence.end_reason(3600.0) == session_pb2.END_REASON_MAX_DURATION


def test_the_greeting_waits_for_the_microphone_or_three_seconds() -> None:
    presence = Presence(TIMING, 0.0)
    presence.joined(5.0)
    assert not presence.may_greet(7.9)
    assert presence.may_greet(8.0)
    presence.heard()
    assert presence.may_greet(5.1)
    presence.left(6.0)
    assert not presence.may_greet(20.0)
    presence.joined(20.0)
    assert not presence.may_greet(20.0)


def test_whoever_is_back_at_once_was_never_away() -> None:
    presence = Presence(TIMING, 0.0)
    presence.left(1.0)
    assert not presence.has_gone(10.0)  # never came
    assert presence.joined(10.0)
    assert not presence.has_gone(20.0)
    presence.left(20.0)
    assert (presence.is_there, presence.counts_as_there) == (False, True)
    assert not presence.has_gone(21.9)
    assert not presence.joined(21.9)
    presence.left(30.0)
    assert presence.has_gone(32.0)
    assert not presence.has_gone(32.1)  # once
    assert (presence.is_there, presence.counts_as_there) == (False, False)
    assert presence.joined(33.0)


def test_who_takes_the_persons_place_has_a_minute_to_come() -> None:
    presence = Presence(TIMING, 0.0)
    presence.joined(5.0)
    presence.heard()
    assert presence.replaced(50.0)
    assert not presence.replaced(51.0)
    assert (presence.is_there, presence.counts_as_there) == (False, False)
    assert not presence.has_gone(60.0)
    assert presence.end_reason(110.9) is None
    assert presence.end_reason(111.0) == session_pb2.END_REASON_CLIENT_LEFT
    assert presence.joined(110.0)
    assert not presence.may_greet(111.0)  # the microphone was the other one's


def test_nobody_who_never_came_is_replaced() -> None:
    presence = Presence(TIMING, 0.0)
    assert not presence.replaced(100.0)
    assert presence.end_reason(120.0) == session_pb2.END_REASON_NEVER_JOINED
