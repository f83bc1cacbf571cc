"""Mouth poses: 25 a second, open with loudness, closed in silence."""

import json

import numpy as np
import pytest

from visavis_motion_sim.mouth import Motion, Mouth, encode, loudness_db, opening

RATE_HZ = 24000


def tone(seconds: float, amplitude: float) -> bytes:
    """A 220 Hz tone, s16le."""
    time_s = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return (np.sin(2 * np.pi * 220 * time_s) * amplitude * 32767).astype("<i2").tobytes()


def poses(mouth: Mouth, pcm: bytes) -> list[Motion]:
    """Feed in 20 ms frames."""
    size = RATE_HZ // 50 * 2
    frames = (pcm[at : at + size] for at in range(0, len(pcm), size))
    fed = (mouth.feed(frame, 20, index * 20) for index, frame in enumerate(frames))
    return [pose for pose in fed if pose is not None]


def test_loudness_of_known_signals() -> None:
    assert loudness_db(tone(0.1, 1.0)) == pytest.approx(-3.0, abs=0.1)
    assert loudness_db(bytes(960)) == -120.0
    assert loudness_db(b"") == -120.0


def test_opening_is_bounded_and_grows_with_loudness() -> None:
    assert [opening(level) for level in (-120.0, -45.0, 0.0)] == [0.0, 0.0, 1.0]
    assert 0 < opening(-30.0) < opening(-20.0) < 1


def test_one_second_makes_25_poses_with_their_positions() -> None:
    found = poses(Mouth(), tone(1.0, 0.3))
    assert [pose.position_ms for pose in found] == list(range(0, 1000, 40))
    assert [pose.seq for pose in found] == list(range(25))
    assert all(0 <= pose.jaw_open <= 1 and 0 <= pose.mouth_wide <= 1 for pose in found)


def test_the_mouth_opens_for_speech_and_closes_in_a_pause() -> None:
    found = poses(Mouth(), tone(0.4, 0.3) + bytes(RATE_HZ))
    assert found[8].jaw_open > 0.5
    assert found[-1].jaw_open < 0.05


def test_rest_closes_the_mouth_and_the_sequence_goes_on() -> None:
    mouth = Mouth()
    last = poses(mouth, tone(0.2, 0.3))[-1]
    rest = mouth.rest(200)
    assert (rest.jaw_open, rest.mouth_wide, rest.seq) == (0.0, 0.0, last.seq + 1)
    following = poses(mouth, tone(0.2, 0.3))
    assert (following[0].request, following[0].seq) == (2, rest.seq + 1)


def test_a_packet_is_small_json() -> None:
    packet = encode(Motion(70000, 12, 123456, 0.5, 0.25))
    assert len(packet) < 120
    assert json.loads(packet) == {
        "v": 1,
        "seq": 70000,
        "req": 12,
        "pos_ms": 123456,
        "w": {"jawOpen": 0.5, "mouthWide": 0.25},
    }
