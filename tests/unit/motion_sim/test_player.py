"""The player in real time on a stage that nobody hears."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.motion_sim.fake_stage import FakeStage
from visavis_motion_sim.mouth import Motion
from visavis_motion_sim.player import Player

RATE_HZ = 24000
SECOND = b"\x00\x10" * RATE_HZ


class Notes:
    """An audience that writes down what it hears, with the time since it was made."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float, bool]] = []
        self.poses: list[Motion] = []
        self.times: list[float] = []
        self._began = time.monotonic()
        self._news = asyncio.Event()

    def started(self, req_id: str) -> None:
        self._note(("started", req_id, 0.0, False))

    def finished(self, req_id: str, position_ms: float, interrupted: bool) -> None:
        self._note(("finished", req_id, position_ms, interrupted))

    def moved(self, motion: Motion) -> None:
        self.poses.append(motion)

    def _note(self, entry: tuple[str, str, float, bool]) -> None:
        self.seen.append(entry)
        self.times.append(time.monotonic() - self._began)
        self._news.set()

    async def until(self, count: int) -> None:
        """Wait for that many entries, at most 5 s."""
        async with asyncio.timeout(5):
            while len(self.seen) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def playing(stage: FakeStage, notes: Notes, delay_s: float = 0.0) -> AsyncIterator[Player]:
    """A running player."""
    player = Player(stage, notes, sample_rate_hz=RATE_HZ, first_audio_delay_s=lambda: delay_s)
    task = asyncio.create_task(player.run())
    try:
        yield player
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_request_is_played_in_real_time_and_reported() -> None:
    stage, notes = FakeStage(), Notes()
    async with playing(stage, notes) as player:
        player.feed("a", SECOND[: RATE_HZ // 2 * 2], end=True)
        await notes.until(2)
    assert notes.seen == [("started", "a", 0.0, False), ("finished", "a", 500.0, False)]
    assert notes.times[1] - notes.times[0] == pytest.approx(0.5, abs=0.4)
    assert len(stage.frames) == 25
    assert notes.poses[-1].jaw_open == 0.0


async def test_an_interrupt_is_heard_before_the_rest_and_reports_what_was_heard() -> None:
    stage, notes = FakeStage(), Notes()
    async with playing(stage, notes) as player:
        player.feed("a", SECOND, end=True)
        await notes.until(1)
        await asyncio.sleep(0.3)
        began = time.monotonic()
        assert player.interrupt("a")
        await notes.until(2)
        assert time.monotonic() - began < 0.5  # 0.7 s of it were left
    kind, _, position_ms, interrupted = notes.seen[1]
    assert (kind, interrupted, stage.cleared) == ("finished", True, 1)
    assert 250 <= position_ms < 900


async def test_a_dry_request_goes_on_when_more_audio_comes() -> None:
    stage, notes = FakeStage(), Notes()
    async with playing(stage, notes) as player:
        player.feed("a", SECOND[:9600], end=False)
        await notes.until(1)
        await asyncio.sleep(0.3)
        assert player.queue.underruns == 1
        player.feed("a", SECOND[:9600], end=True)
        await notes.until(2)
    assert notes.seen[1] == ("finished", "a", 400.0, False)


async def test_the_first_sound_can_be_delayed_and_interrupted_before_it() -> None:
    stage, notes = FakeStage(), Notes()
    async with playing(stage, notes, delay_s=0.2) as player:
        player.feed("a", SECOND[:960], end=True)
        await notes.until(2)
        assert notes.times[0] >= 0.2
        player.feed("b", SECOND[:960], end=True)
        player.interrupt("b")
        await notes.until(3)
    assert notes.seen[2] == ("finished", "b", 0.0, True)
