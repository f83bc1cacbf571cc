"""What the caller's recording says about an answer."""

import numpy as np
import pytest

from tests.support.recording import RATE_HZ, Recording
from visavis_local.talk import ear

_FRAME_S = 0.02
_LOUD = np.full(int(RATE_HZ * _FRAME_S), 3000, dtype="<i2").tobytes()
_QUIET = bytes(len(_LOUD))


def _recording(*loud: tuple[float, float], end: float = 10.0) -> Recording:
    """Loud between these moments, quiet otherwise."""
    recording = Recording()
    for index in range(round(end / _FRAME_S)):
        begin = index * _FRAME_S
        is_loud = any(a <= begin + 1e-9 < b for a, b in loud)
        recording.add("voice", _LOUD if is_loud else _QUIET, begin + _FRAME_S)
    return recording


def test_an_answer_reaches_from_its_first_to_its_last_audible_moment() -> None:
    heard = ear.sound(_recording((0.0, 1.0), (3.0, 4.0), (5.0, 6.0)), after=2.0, until=7.0)
    assert heard.first == pytest.approx(3.0)
    assert heard.last == pytest.approx(6.0)
    assert heard.level_dbfs > -45


def test_what_comes_later_is_not_this_answer() -> None:
    heard = ear.sound(_recording((8.0, 9.0)), after=2.0, until=7.0)
    assert heard.first is None
    assert heard.level_dbfs < -45


def test_in_an_empty_recording_nothing_was_heard() -> None:
    assert ear.sound(Recording(), 0.0, 1.0).first is None


def test_silence_counts_from_the_last_audible_moment_whatever_pauses_come_before() -> None:
    recording = _recording((1.0, 2.0), (2.4, 2.6))
    assert ear.silent_after(recording, 1.9, until=4.0) == pytest.approx(0.7)
    assert ear.silent_after(recording, 3.0, until=4.0) == 0.0


def test_the_level_before_the_onset() -> None:
    recording = _recording((1.0, 2.0))
    assert ear.level_before(recording, 1.9) > -45
    assert ear.level_before(recording, 2.9) < -45
