"""The voice without a face."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.fake_room import FakeRoom
from tests.support.waiting import until
from visavis_egress.audio_only import AudioOnlyAvatar
from visavis_egress.room import AvatarPlayed, AvatarPlays, RoomEvent

FRAME = 960


class Stage:
    """One avatar in a room, and what it reports."""

    def __init__(self) -> None:
        self.room = FakeRoom()
        self.voice = self.room.voice
        self.told: list[RoomEvent] = []
        self.avatar = AudioOnlyAvatar(self.room, self.told.append)

    async def until_told(self, count: int) -> None:
        await until(lambda: len(self.told) >= count, f"{count} reports, not {self.told}")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    one = Stage()
    await one.avatar.start()
    yield one
    await one.avatar.aclose()


async def test_it_plays_in_small_frames_and_tells_when(stage: Stage) -> None:
    stage.voice.gate.set()
    await stage.avatar.play(b"a" * (FRAME * 3 + 10))
    await stage.until_told(1)
    assert stage.told == [AvatarPlays()]
    await stage.avatar.finish()
    await stage.until_told(2)
    assert [len(piece) for piece in stage.voice.captured] == [FRAME] * 3 + [10]
    assert stage.told[1] == AvatarPlayed((FRAME * 3 + 10) / 48_000, interrupted=False)


async def test_an_interruption_tells_what_was_heard(stage: Stage) -> None:
    stage.voice.gate.set()
    await stage.avatar.play(b"a" * FRAME * 10)
    await until(lambda: len(stage.voice.captured) == 10, "captured")
    stage.voice.queued_s = 0.05
    await stage.avatar.interrupt()
    plays, played = stage.told
    assert isinstance(plays, AvatarPlays)
    assert isinstance(played, AvatarPlayed)
    assert played.interrupted
    assert played.position_s == pytest.approx(0.15)
    assert stage.voice.cleared == 1


async def test_nothing_that_was_queued_is_played_after_an_interruption(stage: Stage) -> None:
    await stage.avatar.play(b"a" * FRAME * 10)
    await stage.until_told(1)
    await stage.avatar.interrupt()
    stage.voice.gate.set()
    await stage.avatar.play(b"b" * FRAME)
    await stage.avatar.finish()
    await stage.until_told(4)
    # One frame was in the library's hands already.
    assert b"".join(stage.voice.captured) == b"a" * FRAME + b"b" * FRAME
    assert stage.told[2:] == [AvatarPlays(), AvatarPlayed(0.02, interrupted=False)]


async def test_a_request_that_never_began_ends_none_that_follows(stage: Stage) -> None:
    await stage.avatar.play(b"a" * FRAME)
    await stage.avatar.finish()
    await stage.avatar.interrupt()  # before the first frame
    assert not stage.told
    stage.voice.gate.set()
    await stage.avatar.play(b"b" * FRAME)
    await until(lambda: stage.voice.captured, "captured")
    await asyncio.sleep(0.01)  # an underrun, not the end
    assert stage.told == [AvatarPlays()]
    await stage.avatar.finish()
    await stage.until_told(2)


async def test_an_interruption_while_the_last_frames_play_ends_it_once(stage: Stage) -> None:
    stage.voice.gate.set()
    stage.voice.queued_s = 0.05
    await stage.avatar.play(b"a" * FRAME * 5)
    await stage.avatar.finish()
    await until(lambda: len(stage.voice.captured) == 5, "captured")
    await stage.avatar.interrupt()
    await asyncio.sleep(0.08)
    _, played = stage.told
    assert isinstance(played, AvatarPlayed)
    assert played.interrupted
    assert played.position_s == pytest.approx(0.05)


async def test_it_can_be_closed_in_every_state() -> None:
    never = Stage()
    await never.avatar.interrupt()
    await never.avatar.aclose()
    playing = Stage()
    await playing.avatar.start()
    await playing.avatar.play(b"a" * FRAME * 10)
    await playing.until_told(1)
    await playing.avatar.aclose()
    await playing.avatar.aclose()
    assert playing.voice.cleared == 2
    assert playing.told == [AvatarPlays()]


async def test_a_lowered_voice_is_a_quarter_as_loud_until_it_is_raised(stage: Stage) -> None:
    stage.voice.gate.set()
    for number, is_low in enumerate((True, False), 1):
        await stage.avatar.duck(is_low=is_low)
        await stage.avatar.play((4000).to_bytes(2, "little") * (FRAME // 2))
        await until(lambda: len(stage.voice.captured) == number, "captured")  # noqa: B023
    levels = [int.from_bytes(frame[:2], "little") for frame in stage.voice.captured]
    assert levels == [1000, 4000]
