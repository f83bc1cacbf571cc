"""Somebody who understands what was heard: recordings back to words, by Whisper's own library.

Not the recognition service's short window but the whole one and a beam search, so that a mistake of
the service is not repeated here.
"""

import asyncio
import math
from functools import cache

import numpy as np
import soxr
from faster_whisper import WhisperModel

from tests.support.caller import Caller
from tests.support.recording import RATE_HZ, Recording, Samples, voiced
from visavis_asr.whisper import weights_folder

_WHISPER_HZ = 16_000
_MARGIN = RATE_HZ // 5
_LONGEST_S = 120.0


@cache
def _model() -> WhisperModel:
    return WhisperModel(str(weights_folder()), device="cpu", compute_type="int8", cpu_threads=2)


async def understood(recording: Recording, begin: float, end: float) -> str:
    """The words heard between two moments; empty if nothing was audible."""
    return await asyncio.to_thread(_recognise, recording.samples(begin, end))


async def heard(caller: Caller, since: float = -math.inf) -> str:
    """What the person in the room has understood since then, once it is silent there."""
    recording = caller.recording
    await caller.until(lambda: recording.silent_from(recording.end - 0.6, for_s=0.5) is not None)
    begin = max(since, recording.end - _LONGEST_S)
    return await understood(recording, begin, recording.end)


def _recognise(samples: Samples) -> str:
    try:
        first, last = voiced(samples, RATE_HZ)
    except ValueError:
        return ""
    cut = samples[max(0, first - _MARGIN) : last + _MARGIN].astype(np.float32) / 32768
    segments, _ = _model().transcribe(
        soxr.resample(cut, RATE_HZ, _WHISPER_HZ),
        language="en",
        beam_size=5,
        temperature=0.0,
        condition_on_previous_text=False,
    )
    return " ".join(segment.text.strip() for segment in segments)
