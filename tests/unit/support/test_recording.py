"""Questions to a recording, on sound whose times are known."""

import io
import math
import wave

import numpy as np
import pytest

from tests.support.recording import (
    RATE_HZ,
    SILENCE_DBFS,
    Recording,
    Samples,
    level_dbfs,
    voiced,
)
from tests.support.utterance import Utterance

FRAME = RATE_HZ // 50


def _tone(seconds: float, amplitude: float = 0.5) -> Samples:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (np.sin(time * 440 * 2 * math.pi) * amplitude * 32767).astype(np.int16)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), dtype=np.int16)


def _recorded(samples: Samples, start: float, *, jitter: float = 0.0) -> Recording:
    """The samples as they arrive in frames of 20 ms, every other one late."""
    recording = Recording()
    for number, first in enumerate(range(0, len(samples), FRAME)):
        arrived = start + (number + 1) * 0.02 + (number % 2) * jitter
        recording.add("t", samples[first : first + FRAME].tobytes(), arrived)
    return recording


def test_levels_are_those_of_a_sine() -> None:
    assert level_dbfs(_tone(0.1, 1.0)) == pytest.approx(-3.0, abs=0.1)
    assert level_dbfs(_tone(0.1, 0.1)) == pytest.approx(-23.0, abs=0.1)
    assert level_dbfs(_silence(0.1)) == level_dbfs(_silence(0)) == SILENCE_DBFS


def test_voiced_trims_silence_at_both_ends_and_keeps_pauses() -> None:
    parts = [_silence(0.3), _tone(0.2), _silence(0.5), _tone(0.1), _silence(0.4)]
    first, last = voiced(np.concatenate(parts), RATE_HZ)
    assert first / RATE_HZ == pytest.approx(0.3, abs=0.011)
    assert last / RATE_HZ == pytest.approx(1.1, abs=0.011)
    with pytest.raises(ValueError, match="louder"):
        voiced(_silence(1), RATE_HZ)


def test_onset_and_end_of_sound_are_found() -> None:
    heard = _recorded(np.concatenate([_silence(0.5), _tone(1), _silence(1)]), 100.0)
    assert heard.first_audible_after(100.0) == pytest.approx(100.5, abs=0.001)
    assert heard.first_audible_after(101.0) == pytest.approx(101.0, abs=0.001)
    assert heard.first_audible_after(101.6) is None
    assert heard.last_audible_before(103.0) == pytest.approx(101.5, abs=0.001)
    assert heard.last_audible_before(100.4) is None


def test_silence_counts_only_when_it_lasts() -> None:
    parts = [_tone(0.5), _silence(0.2), _tone(0.3), _silence(0.5)]
    heard = _recorded(np.concatenate(parts), 10.0)
    assert heard.silent_from(10.1) == pytest.approx(11.0, abs=0.001)
    assert heard.silent_from(10.1, for_s=0.1) == pytest.approx(10.5, abs=0.001)
    assert heard.silent_from(11.1) == pytest.approx(11.1)
    assert heard.silent_from(10.1, for_s=0.6) is None, "the recording does not reach that far"
    assert Recording().silent_from(1.0) == 1.0


def test_two_tracks_are_heard_together() -> None:
    heard = _recorded(_tone(1, 0.25), 10.0)
    for number in range(50):
        heard.add("other", _tone(0.02, 0.25).tobytes(), 10.5 + (number + 1) * 0.02)
    alone, both = heard.level(10.1, 10.4), heard.level(10.6, 10.9)
    assert alone == pytest.approx(-15.0, abs=0.2)
    assert both > alone + 2
    assert heard.level(11.1, 11.4) == pytest.approx(-15.0, abs=0.5)


def test_jitter_of_arrival_leaves_no_holes_and_a_gap_stays_a_gap() -> None:
    tone = _tone(1)
    heard = _recorded(tone, 10.0, jitter=0.03)
    assert np.array_equal(heard.samples(10.0, 11.0), tone)
    heard.add("t", _tone(0.02).tobytes(), 12.02)
    assert heard.level(11.1, 11.9) == SILENCE_DBFS
    assert heard.first_audible_after(11.5) == pytest.approx(12.0, abs=0.001)


def test_a_wav_of_it_has_its_length_and_sound() -> None:
    heard = _recorded(_tone(1), 10.0)
    with wave.open(io.BytesIO(heard.wav(9.5, 11.5))) as file:
        assert (file.getframerate(), file.getnframes()) == (RATE_HZ, 2 * RATE_HZ)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert voiced(samples, RATE_HZ)[0] == pytest.approx(RATE_HZ / 2, abs=0.011 * RATE_HZ)


async def test_an_utterance_knows_when_its_voiced_part_went_out() -> None:
    parts = [_silence(0.25), _tone(0.5), _silence(0.305)]
    samples = np.concatenate(parts)
    utterance = Utterance(samples, RATE_HZ, FRAME)
    given = []
    out_at = 50.0
    while True:
        given.append(utterance.frame())
        if utterance.sent(out_at):
            break
        out_at += 0.02
    spoken = await utterance.done
    assert spoken.start == pytest.approx(50.25, abs=0.011)
    assert spoken.end == pytest.approx(50.75, abs=0.011)
    assert np.array_equal(np.concatenate(given)[: len(samples)], samples)
