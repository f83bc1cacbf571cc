"""Missing packets and silence are told apart."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.waiting import until
from visavis_egress import microphone_watch
from visavis_egress.conversation.config import STALL_S
from visavis_egress.errors import RoomUnavailable
from visavis_egress.microphone_watch import LOOK_S, Reception, StallDetector, watch
from visavis_egress.room import MicrophoneFlows, MicrophoneStalled, RoomEvent

SAMPLES = round(48_000 * LOOK_S)


class Receiver:
    """Counts like the real one; a look comes every 0.15 s."""

    def __init__(self) -> None:
        self.detector = StallDetector()
        self._packets = self._samples = self._made_up = 0
        self._now = 100.0

    def look(self, packets: int, *, made_up: float = 0.0, muted: bool = False) -> bool:
        """Further packets, and the share of sound made up, since the last look."""
        self._packets += packets
        self._samples += SAMPLES
        self._made_up += round(made_up * SAMPLES)
        self._now += LOOK_S
        seen = Reception(self._packets, self._samples, self._made_up)
        return self.detector.look(None if muted else seen, self._now)

    def flow(self) -> None:
        """Two looks of a microphone that is heard."""
        assert [self.look(8), self.look(8)] == [False, False]


@pytest.fixture
def receiver() -> Receiver:
    one = Receiver()
    one.flow()
    return one


def looks(receiver: Receiver, packets: Sequence[int], made_up: float = 0.0) -> list[bool]:
    return [receiver.look(count, made_up=made_up) for count in packets]


def test_silence_with_a_packet_every_0_4_s_is_no_stall(receiver: Receiver) -> None:
    assert not any(looks(receiver, [0, 0, 1] * 10))  # 0.45 s apart


def test_speech_that_breaks_off_is_noticed_within_one_look(receiver: Receiver) -> None:
    assert receiver.look(0, made_up=0.7)
    assert looks(receiver, [0, 0], made_up=1.0) == [True, True]
    assert not receiver.look(5, made_up=0.1)


def test_lost_packets_among_others_are_no_stall(receiver: Receiver) -> None:
    assert not any(looks(receiver, [4, 3, 4, 2], made_up=0.6))
    assert not any(looks(receiver, [0, 1] * 4, made_up=0.4))


def test_silence_that_breaks_off_is_noticed_after_half_a_second(receiver: Receiver) -> None:
    count = int(STALL_S / LOOK_S)
    assert looks(receiver, [0] * (count + 1)) == [False] * count + [True]
    assert not receiver.look(1)


def test_nothing_is_missed_before_the_first_packet() -> None:
    receiver = Receiver()
    assert not any(looks(receiver, [0] * 10, made_up=1.0))
    receiver.flow()
    assert receiver.look(0, made_up=1.0)


def test_a_muted_microphone_does_not_stall_nor_does_it_when_it_is_opened(
    receiver: Receiver,
) -> None:
    assert receiver.look(0, made_up=1.0)
    assert not any(receiver.look(0, made_up=1.0, muted=True) for _ in range(10))
    assert not any(looks(receiver, [0, 0], made_up=1.0))  # the first packets are on their way
    receiver.flow()
    assert receiver.look(0, made_up=1.0)


def test_a_receiver_that_begins_anew_has_not_stalled(receiver: Receiver) -> None:
    assert not receiver.detector.look(Reception(0, SAMPLES, SAMPLES), 200.0)
    assert not receiver.detector.look(Reception(0, 2 * SAMPLES, 2 * SAMPLES), 300.0)


async def test_changes_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone_watch, "LOOK_S", 0.0)
    told: list[RoomEvent] = []
    steps: list[Reception | None] = [
        Reception(5, 100, 0),
        Reception(9, 200, 0),
        None,  # as an answer that does not come, see below
        Reception(9, 300, 90),
        Reception(9, 400, 190),
        Reception(12, 500, 190),
        Reception(15, 600, 190),
    ]
    is_over = asyncio.Event()

    async def read() -> Reception | None:
        if not steps:
            is_over.set()
            await asyncio.Event().wait()
        if (step := steps.pop(0)) is None:
            raise RoomUnavailable("no statistics")
        return step

    watching = asyncio.create_task(watch(StallDetector(), read, told.append))
    await until(is_over.is_set, "the end")
    watching.cancel()
    assert told == [MicrophoneStalled(), MicrophoneFlows()]
