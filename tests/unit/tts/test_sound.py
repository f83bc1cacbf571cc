"""The pure work on samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis_tts import sound
from visavis_tts.engine import Samples

RATE_HZ = 24_000


def tone(seconds: float, *, level: float = 0.5, rate_hz: int = RATE_HZ) -> Samples:
    phase = 2 * np.pi * 440.0 / rate_hz * np.arange(round(seconds * rate_hz))
    samples: Samples = (level * np.sin(phase)).astype(np.float32)
    return samples


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def test_silence_is_cut_down_to_a_short_lead_and_a_pause() -> None:
    spoken = tone(0.5)
    whole = np.concatenate([silence(0.31), spoken, silence(0.6)])
    cut = sound.trim(whole, RATE_HZ)
    assert len(cut) == round((sound.LEAD_S + 0.5 + sound.TAIL_S) * RATE_HZ)
    assert np.array_equal(cut[480 : 480 + len(spoken)], spoken)


def test_silence_inside_and_sound_without_silence_stay() -> None:
    whole = np.concatenate([tone(0.3), silence(1.0), tone(0.3)])
    assert np.array_equal(sound.trim(whole, RATE_HZ), whole)


def test_a_low_noise_is_silence_and_a_quiet_voice_is_not() -> None:
    assert len(sound.trim(tone(0.3, level=0.002), RATE_HZ)) == 0
    assert len(sound.trim(tone(0.3, level=0.01), RATE_HZ)) == len(tone(0.3))


def test_nothing_but_silence_is_nothing() -> None:
    assert len(sound.trim(silence(1.0), RATE_HZ)) == 0
    assert len(sound.trim(silence(0.0), RATE_HZ)) == 0


@given(st.integers(0, 2000), st.integers(1, 3000), st.integers(0, 9000))
def test_no_sound_is_lost(lead: int, length: int, tail: int) -> None:
    samples = np.zeros(lead + length + tail, np.float32)
    samples[lead : lead + length] = 0.5
    assert np.count_nonzero(sound.trim(samples, RATE_HZ)) == length


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_another_rate_keeps_length_and_pitch(rate_hz: int) -> None:
    out = sound.resample(tone(1.0, rate_hz=rate_hz), rate_hz)
    assert out.dtype == np.float32
    assert len(out) == pytest.approx(RATE_HZ, abs=2)
    strongest_hz = np.argmax(np.abs(np.fft.rfft(out))) * RATE_HZ / len(out)
    assert strongest_hz == pytest.approx(440.0, abs=2)
    assert float(np.abs(out[1000:-1000]).max()) == pytest.approx(0.5, abs=0.01)


def test_24_khz_is_left_as_it_is() -> None:
    samples = tone(0.1)
    assert sound.resample(samples, RATE_HZ) is samples


def test_16_bits_keep_the_shape_and_never_wrap() -> None:
    quiet = np.frombuffer(sound.to_pcm(np.array([0.0, 0.5, -1.0, 1.0], np.float32)), "<i2")
    assert quiet.tolist() == [0, 16384, -32767, 32767]
    loud = np.frombuffer(sound.to_pcm(np.array([2.0, 1.0, -0.5], np.float32)), "<i2")
    assert loud.tolist() == [32767, 16384, -8192]
    assert sound.to_pcm(np.zeros(0, np.float32)) == b""


@given(st.lists(st.binary(max_size=12_000), max_size=6))
def test_chunks_are_100_ms_and_together_what_was_fed(pieces: list[bytes]) -> None:
    chunker = sound.Chunker()
    chunks = [chunk for piece in pieces for chunk in chunker.feed(piece)] + chunker.flush()
    assert b"".join(chunks) == b"".join(pieces)
    assert {len(chunk) for chunk in chunks[:-1]} <= {4800}
    assert all(0 < len(chunk) <= 4800 for chunk in chunks[-1:])
    assert chunker.flush() == []
