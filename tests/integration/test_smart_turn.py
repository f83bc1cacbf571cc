"""The turn's end by the sound of spoken sentences, with the real model."""

import statistics
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.voices import speak_all
from visavis_egress.smart_turn import SmartTurn

RATE_HZ = 16_000
FINISHED = (
    *("When does the train go?", "I would like to book a table for two."),
    *("Tell me something about the history of this town.", "No thanks, that is all."),
    "I don't understand the question.",
)
UNFINISHED = (
    *("When does the", "I would like to book a table for", "Tell me something about the"),
    *("No thanks, that", "I don't understand the"),
)


def _samples(path: Path) -> NDArray[np.float64]:
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        frames = file.readframes(file.getnframes())
    found = np.frombuffer(frames, dtype="<i2").astype(np.float64)
    at = np.arange(0, len(found), rate / RATE_HZ)
    return np.interp(at, np.arange(len(found)), found)


def _heard(path: Path) -> bytes:
    """A sentence and the 200 ms of silence after which it is asked."""
    samples = _samples(path)
    end = np.flatnonzero(np.abs(samples) > 500)[-1] + 1
    return np.concatenate([samples[:end], np.zeros(RATE_HZ // 5)]).astype("<i2").tobytes()


@pytest.mark.audio
async def test_finished_sentences_score_above_unfinished_ones() -> None:
    paths = speak_all([*FINISHED, *UNFINISHED])
    model = SmartTurn()
    took_s = []
    model.probability(_heard(paths[0]))
    scores = []
    for path in paths:
        asked_at = time.monotonic()
        scores.append(await model.score(_heard(path)) or 0.0)
        took_s.append(time.monotonic() - asked_at)
    model.close()
    finished, unfinished = scores[: len(FINISHED)], scores[len(FINISHED) :]
    print(f"finished {np.round(finished, 2)}, unfinished {np.round(unfinished, 2)}")
    print(f"a score takes {statistics.median(took_s) * 1000:.0f} ms")
    assert max(scores) <= 1
    assert statistics.median(finished) > 0.6
    assert statistics.median(unfinished) < 0.4
