"""Where an utterance starts, how long it is silent, and what sound it consists of."""

import dataclasses

import pytest

from tests.unit.egress.conversation.driver import FRAME_BYTES, frame, frames_of
from visavis_egress.conversation.config import FRAME_S, Timing
from visavis_egress.conversation.endpointing import Silence
from visavis_egress.conversation.events import VoiceFrame
from visavis_egress.conversation.listening import Ear

TIMING = Timing()


class Listener:
    """An ear and the frames that it gets."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self.ear = Ear(timing)
        self.now = 10.0
        self.count = 0

    def hear(self, *probabilities: float, times: int = 1) -> None:
        for probability in probabilities * times:
            self.now += FRAME_S
            self.ear.hear(VoiceFrame(frame(self.count), probability), self.now)
            self.count += 1


def test_one_loud_frame_starts_nothing() -> None:
    listener = Listener()
    listener.hear(0.9, 0.1, 0.9, 0.49, 0.9, 0.0)
    assert not listener.ear.is_open
    assert listener.ear.burst_s == 0


def test_two_loud_frames_in_a_row_start_an_utterance() -> None:
    listener = Listener()
    listener.hear(0.1, 0.5, 0.5)
    assert listener.ear.is_open
    assert listener.ear.burst_s == pytest.approx(2 * FRAME_S)
    assert listener.ear.last_voice_at == listener.now


def test_the_sound_begins_half_a_second_before_the_detected_start() -> None:
    listener = Listener()
    listener.hear(0.0, times=100)
    listener.hear(0.9, times=4)
    # 16 frames are the pre-roll, the two that started it among them.
    assert frames_of(listener.ear.snapshot()) == list(range(102 - 16, 104))


def test_a_weaker_frame_keeps_speech_going_but_starts_none() -> None:
    listener = Listener()
    listener.hear(0.4, times=10)
    assert not listener.ear.is_open
    listener.hear(0.9, 0.9, 0.35)
    assert listener.ear.silence_s(listener.now) == 0
    listener.hear(0.34)
    assert listener.ear.silence_s(listener.now) == pytest.approx(FRAME_S)


def test_silence_is_counted_back_to_the_last_voiced_frame() -> None:
    listener = Listener()
    listener.hear(0.9, times=5)
    spoken_at = listener.now
    listener.hear(0.2, times=10)
    assert listener.ear.last_voice_at == spoken_at
    assert listener.ear.silence_s(listener.now) == pytest.approx(10 * FRAME_S)


def test_a_longer_silence_begins_a_new_burst_and_a_short_one_does_not() -> None:
    listener = Listener()
    listener.hear(0.9, times=8)
    listener.hear(0.0, times=9)
    listener.hear(0.9, times=2)
    assert listener.ear.burst_s == pytest.approx(10 * FRAME_S)
    listener.hear(0.0, times=12)
    listener.hear(0.9)
    assert listener.ear.burst_s == pytest.approx(FRAME_S)
    assert listener.ear.longest_burst_s == pytest.approx(10 * FRAME_S)


def test_speech_after_the_mark_is_noticed_and_a_single_frame_is_not_speech() -> None:
    listener = Listener()
    listener.hear(0.9, times=5)
    listener.ear.resumed = False
    listener.hear(0.0, 0.9, 0.0)
    assert not listener.ear.resumed
    listener.hear(0.9, 0.9)
    assert listener.ear.resumed


def test_what_was_forgotten_is_not_in_the_next_utterance_and_the_sound_since_is() -> None:
    listener = Listener()
    listener.hear(0.9, times=20)
    listener.hear(0.0, times=16)
    listener.hear(0.9)  # the next word begins in the moment in which this utterance is taken
    listener.ear.forget()
    assert not listener.ear.is_open
    assert listener.ear.snapshot() == b""
    listener.hear(0.9, 0.9)
    assert frames_of(listener.ear.snapshot()) == list(range(39 - 16, 39))


def test_an_utterance_of_less_than_28_s_is_not_cut() -> None:
    listener = Listener()
    listener.hear(0.9, times=874)
    assert listener.ear.take_overlong() is None
    listener.hear(0.9)
    assert listener.ear.take_overlong() is not None


def test_an_overlong_utterance_is_cut_where_its_second_half_was_quietest() -> None:
    listener = Listener()
    levels = [0.9] * 875
    levels[100] = 0.36  # quieter, and too early
    levels[600] = 0.4
    levels[700] = 0.5
    listener.hear(*levels)
    part = listener.ear.take_overlong()
    assert part is not None
    assert frames_of(part) == list(range(600))
    assert frames_of(listener.ear.snapshot()) == list(range(600, 875))
    assert listener.ear.take_overlong() is None


def test_of_equally_quiet_places_the_last_is_cut() -> None:
    listener = Listener()
    listener.hear(0.9, times=875)
    part = listener.ear.take_overlong()
    assert part is not None
    assert len(part) == 874 * FRAME_BYTES


def test_no_part_outgrows_a_message_however_long_nobody_took_one() -> None:
    listener = Listener()
    listener.hear(0.9, times=800)
    listener.hear(0.0, times=250)
    part = listener.ear.take_overlong()
    assert part is not None
    assert len(part) <= 896_000
    assert frames_of(part) + frames_of(listener.ear.snapshot()) == list(range(1050))


def test_a_shorter_limit_is_kept_as_well() -> None:
    listener = Listener(dataclasses.replace(TIMING, max_snapshot_s=2.0))
    listener.hear(0.9, times=200)
    part = listener.ear.take_overlong()
    assert part is not None
    assert len(part) <= 64_000


def test_the_end_of_a_turn_is_half_a_second_of_silence() -> None:
    assert Silence(0.5).wait_s() == 0.5
