"""Where an utterance starts, how long it is silent, and what sound it consists of."""

import dataclasses

import pytest

from tests.unit.egress.conversation.driver import FRAME_BYTES, frame, frames_of
from visavis_egress.conversation.config import FRAME_S, Timing
from visavis_egress.conversation.events import VoiceFrame
from visavis_egress.conversation.listening import Ear

TIMING = Timing()
LATE_S = TIMING.late_s


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
    assert listener.ear.burst_s == listener.ear.sure_burst_s == listener.ear.longest_burst_s == 0


def test_two_loud_frames_in_a_row_start_an_utterance() -> None:
    listener = Listener()
    listener.hear(0.1, 0.5, 0.5)
    assert listener.ear.is_open
    assert listener.ear.burst_s == pytest.approx(2 * FRAME_S + LATE_S)
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
    assert listener.ear.burst_s == pytest.approx(10 * FRAME_S + LATE_S)
    listener.hear(0.0, times=12)
    listener.hear(0.9)
    assert listener.ear.burst_s == pytest.approx(FRAME_S + LATE_S)
    assert listener.ear.longest_burst_s == pytest.approx(10 * FRAME_S + LATE_S)


def test_speech_after_the_mark_is_noticed_and_a_single_frame_is_not_speech() -> None:
    listener = Listener()
    listener.hear(0.9, times=5)
    listener.hear(0.0)
    listener.ear.mark()
    listener.hear(0.0, 0.9, 0.0)
    went_on = listener.ear.went_on
    listener.hear(0.9, 0.9)
    assert (went_on, listener.ear.went_on) == (False, True)
    assert listener.ear.since_mark_s == pytest.approx(3 * FRAME_S)


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


def test_what_an_echo_could_be_is_not_surely_speech() -> None:
    listener = Listener()
    listener.hear(0.6, times=6)
    listener.hear(0.7, times=4)
    assert listener.ear.burst_s == pytest.approx(10 * FRAME_S + LATE_S)
    assert listener.ear.sure_burst_s == pytest.approx(4 * FRAME_S + LATE_S)
    listener.hear(0.0, times=12)
    listener.hear(0.6)
    assert listener.ear.sure_burst_s == 0


def test_of_the_silence_before_only_what_belongs_to_the_next_utterance_is_kept() -> None:
    listener = Listener()
    listener.hear(0.9, times=20)
    listener.hear(0.0, times=3)
    listener.ear.mark()
    listener.hear(0.0, times=7)
    listener.hear(0.9)  # too little to go on with this one; it begins the next
    listener.ear.forget()
    listener.hear(0.9, 0.9)
    assert frames_of(listener.ear.snapshot()) == list(range(20, 33))


def test_a_press_opens_an_utterance_with_300_ms_of_before_and_speech_alone_does_not() -> None:
    listener = Listener()
    listener.ear.needs_press = True
    listener.hear(0.9, times=30)
    was_open = listener.ear.is_open
    listener.ear.press(listener.now)
    listener.hear(0.0, times=2)
    assert (was_open, listener.ear.is_open) == (False, True)
    assert frames_of(listener.ear.snapshot()) == list(range(30 - 9, 32))


def test_what_is_made_up_where_packets_are_missing_is_neither_sound_nor_silence() -> None:
    listener = Listener()
    listener.hear(0.9, times=5)
    listener.now += TIMING.stall_s
    listener.ear.stall(listener.now)
    listener.ear.stall(listener.now)
    listener.hear(0.9, times=30)
    listener.hear(0.0, times=60)
    assert listener.ear.silence_s(listener.now) == 0
    listener.ear.flow(listener.now)
    listener.ear.flow(listener.now)
    assert frames_of(listener.ear.snapshot()) == list(range(5))
    listener.hear(0.0, times=3)
    assert listener.ear.silence_s(listener.now) == pytest.approx(3 * FRAME_S)


def test_silence_from_before_the_packets_were_missing_counts() -> None:
    listener = Listener()
    listener.hear(0.9, times=5)
    listener.hear(0.0, times=5)
    listener.now += TIMING.stall_s
    listener.ear.stall(listener.now)
    listener.now += 3
    listener.ear.flow(listener.now)
    assert listener.ear.silence_s(listener.now) == pytest.approx(5 * FRAME_S)
