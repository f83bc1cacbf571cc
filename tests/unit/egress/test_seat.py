"""The seat: started, lost, rebuilt, refused, closed; and the lane that feeds it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.fake_room import Casting, trouble
from tests.support.waiting import until
from visavis_egress import seat as module
from visavis_egress.avatar import Avatar, OnLost
from visavis_egress.errors import (
    AvatarRefused,
    AvatarTrouble,
    AvatarUnavailable,
    RoomUnavailable,
)
from visavis_egress.lane import Lane
from visavis_egress.room import AvatarPlays, RoomEvent
from visavis_egress.seat import OnPlayback, Seat
from visavis_runtime.errors import BusUnavailable, VisavisError

REFUSED, CLOSED = trouble("creditsExhausted"), trouble("connectionClosed")
FIVE_DOWN = [AvatarUnavailable(CLOSED)] * 5


class Listener:
    """Notes what the seat tells."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.heard: list[RoomEvent] = []

    def on_room(self, event: RoomEvent) -> None:
        self.heard.append(event)

    def avatar_started(self, connection_id: str) -> None:
        self.told.append(f"started {connection_id}")

    def avatar_lost(self, trouble: AvatarTrouble) -> None:
        self.told.append(f"lost {trouble.code}")

    def avatar_fallback(self, trouble: AvatarTrouble) -> None:
        self.told.append(f"fallback {trouble.code}")

    def avatar_failed(self, trouble: AvatarTrouble) -> None:
        self.told.append(f"failed {trouble.code}")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES_S", (0.0,) * 5)


@pytest.fixture
def listener() -> Listener:
    return Listener()


async def _told(listener: Listener, *expected: str) -> None:
    await until(lambda: len(listener.told) >= len(expected), f"told {expected}")
    assert listener.told == list(expected)


async def _seated(listener: Listener, times: int) -> None:
    await until(lambda: listener.told.count("started connection") == times, "seated")


async def test_it_is_seated_and_speaks(listener: Listener) -> None:
    cast = Casting()
    seat = Seat(cast, None, listener)
    await seat.play(b"too early")
    await _told(listener, "started connection")
    await seat.play(b"sound")
    await seat.finish()
    await seat.interrupt()
    assert bytes(cast.made[0].heard) == b"sound"
    assert cast.made[0].acts == ["play", "finish", "interrupt"]
    assert isinstance(listener.heard[0], AvatarPlays)
    await seat.aclose()
    await seat.play(b"too late")
    assert cast.made[0].closed == 1
    assert bytes(cast.made[0].heard) == b"sound"


async def test_a_lost_one_is_replaced_by_a_fresh_one(listener: Listener) -> None:
    cast = Casting()
    seat = Seat(cast, None, listener)
    await _told(listener, "started connection")
    cast.made[0].on_lost(CLOSED)
    cast.made[0].on_lost(CLOSED)  # the vendor's library says it twice
    await _told(listener, "started connection", "lost connectionClosed", "started connection")
    first, second = cast.made
    assert first.closed == 1
    first.on_lost(CLOSED)  # and once more when it is closed
    await seat.play(b"rest")
    assert bytes(second.heard) == b"rest"
    assert len(listener.told) == 3
    await seat.aclose()
    assert (first.closed, second.closed) == (1, 1)


async def test_an_act_that_fails_is_a_loss(listener: Listener) -> None:
    cast = Casting()
    seat = Seat(cast, None, listener)
    await _told(listener, "started connection")
    cast.made[0].gone = AvatarUnavailable(CLOSED)
    await seat.play(b"sound")
    await _told(listener, "started connection", "lost connectionClosed", "started connection")
    await seat.aclose()


async def test_a_late_failure_of_the_old_one_does_not_cost_the_new_one(listener: Listener) -> None:
    cast = Casting()
    seat = Seat(cast, None, listener)
    await _told(listener, "started connection")
    old, held = cast.made[0], asyncio.Event()

    async def slow(pcm: bytes) -> None:
        await held.wait()
        raise AvatarUnavailable(CLOSED)

    old.play = slow  # type: ignore[method-assign]
    playing = asyncio.create_task(seat.play(b"sound"))
    await asyncio.sleep(0)
    old.on_lost(CLOSED)
    await _told(listener, "started connection", "lost connectionClosed", "started connection")
    held.set()
    await playing
    await asyncio.sleep(0.01)
    assert len(listener.told) == 3
    await seat.aclose()


@pytest.mark.parametrize("is_last", [False, True])
async def test_a_refusal_applies_the_fallback_at_once(listener: Listener, is_last: bool) -> None:
    cast, voice = Casting([AvatarRefused(REFUSED)]), Casting()
    seat = Seat(cast, None if is_last else voice, listener)
    if is_last:
        await _told(listener, "failed creditsExhausted")
    else:
        await _told(listener, "fallback creditsExhausted", "started connection")
        await seat.play(b"sound")
        assert bytes(voice.made[0].heard) == b"sound"
    assert [one.closed for one in cast.made] == [1]
    await seat.aclose()


async def test_a_refusal_after_a_loss_applies_the_fallback(listener: Listener) -> None:
    cast, voice = Casting([None, AvatarRefused(REFUSED)]), Casting()
    seat = Seat(cast, voice, listener)
    await _told(listener, "started connection")
    cast.made[0].on_lost(trouble("sessionDurationExceeded"))
    expected = ("lost sessionDurationExceeded", "fallback creditsExhausted", "started connection")
    await _told(listener, "started connection", *expected)
    await seat.aclose()


async def test_five_tries_then_the_fallback(listener: Listener) -> None:
    cast, voice = Casting(list(FIVE_DOWN)), Casting()
    seat = Seat(cast, voice, listener)
    await _told(listener, "fallback connectionClosed", "started connection")
    assert [one.closed for one in cast.made] == [1] * 5
    await seat.aclose()


async def test_four_failures_are_overcome(listener: Listener) -> None:
    cast = Casting(list(FIVE_DOWN[:4]))
    seat = Seat(cast, None, listener)
    await _told(listener, "started connection")
    assert len(cast.made) == 5
    await seat.aclose()


async def test_avatars_that_are_lost_as_soon_as_seated_end_in_the_fallback(
    listener: Listener,
) -> None:
    cast, voice = Casting(), Casting()
    seat = Seat(cast, voice, listener)
    for number in range(5):
        await _seated(listener, number + 1)
        cast.made[-1].on_lost(CLOSED)
    await until(lambda: voice.made, "the fallback")
    assert len(cast.made) == 5
    await seat.aclose()


async def test_avatars_that_lived_well_may_be_lost_for_ever(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_S", 0.0)
    cast = Casting()
    seat = Seat(cast, None, listener)
    for number in range(8):
        await _seated(listener, number + 1)
        cast.made[-1].on_lost(CLOSED)
    await until(lambda: len(cast.made) == 9, "the ninth")
    await seat.aclose()


async def test_a_room_that_does_not_answer_is_a_failed_try(listener: Listener) -> None:
    cast = Casting(make_errors=[RoomUnavailable("no answer")])
    seat = Seat(cast, None, listener)
    await _told(listener, "started connection")
    await seat.aclose()


async def test_a_fallback_that_fails_too_is_told(listener: Listener) -> None:
    voice = Casting(make_errors=[RoomUnavailable("no answer")] * 5)
    seat = Seat(Casting([AvatarRefused(REFUSED)]), voice, listener)
    await _told(listener, "fallback creditsExhausted", "failed roomUnavailable")
    await seat.aclose()


async def test_a_defect_of_the_vendors_library_is_told(listener: Listener) -> None:
    seat = Seat(Casting(make_errors=[TypeError("defect")]), None, listener)
    await _told(listener, "failed internal")
    await seat.aclose()
    await seat.aclose()


async def test_it_can_be_closed_while_it_is_made_or_started(listener: Listener) -> None:
    cast, hanging = Casting(), asyncio.Event()

    async def never(*_: object) -> str:
        hanging.set()
        await asyncio.Event().wait()
        return ""

    async def hangs_in_start(on_lost: OnLost, on_playback: OnPlayback) -> Avatar:
        avatar = await cast(on_lost, on_playback)
        avatar.start = never  # type: ignore[method-assign]
        return avatar

    async def hangs_in_making(*_: object) -> Avatar:
        await never()
        raise AssertionError

    for make, made in ((hangs_in_start, 1), (hangs_in_making, 1)):
        hanging.clear()
        seat = Seat(make, None, listener)
        await asyncio.wait_for(hanging.wait(), 1)
        await seat.play(b"sound")
        await asyncio.wait_for(seat.aclose(), 1)
        assert [one.closed for one in cast.made] == [1] * made
    assert not listener.told


async def test_it_can_be_closed_before_it_has_begun(listener: Listener) -> None:
    cast = Casting()
    await Seat(cast, None, listener).aclose()
    assert not cast.made


# The lane


def _does(
    done: list[int], number: int, error: Exception | None = None
) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        await asyncio.sleep(0)
        if error:
            raise error
        done.append(number)

    return work


async def test_a_lane_keeps_the_order_and_goes_on_after_errors() -> None:
    done: list[int] = []
    errors: list[VisavisError] = []
    lane = Lane("test", errors.append)
    for number in range(10):
        lane.put(_does(done, number))
    lane.put(_does(done, -1, BusUnavailable("away")))
    lane.put(_does(done, -2, KeyError("a defect")))
    lane.put(_does(done, 10))
    await lane.flush(1.0)
    assert done == list(range(11))
    assert [str(error) for error in errors] == ["away"]
    await lane.aclose()


async def test_a_flush_is_bounded_and_closing_drops_the_rest() -> None:
    done: list[int] = []
    lane = Lane("test", lambda _: None)
    lane.put(asyncio.Event().wait)  # type: ignore[arg-type]
    lane.put(_does(done, 1))
    await lane.flush(0.01)
    await lane.aclose()
    assert not done
