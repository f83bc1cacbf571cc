"""How likely a person has finished, by the sound: smart-turn v3.2 on onnxruntime.

The weights (BSD-2, Daily) lie in the wheel of pipecat-ai, whose code is not used. Input are the
features of the last 8 s, shape (1, 80, 800); the output is a probability.
"""

import asyncio
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from visavis_egress.mel import log_mel
from visavis_egress.telemetry import SCORE_SECONDS
from visavis_runtime import log
from visavis_runtime.subjects import ASR_RATE_HZ

logger = log.get(__name__)

_SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
_SAMPLES = 8 * ASR_RATE_HZ
_VARIANCE_FLOOR = 1e-7
MAX_WAITING = 3
"""Scores asked for at once in the process, the running one among them: each takes about 50 ms."""


class SmartTurn:
    """See `scorers.SoundScorer`. One thread computes, off the event loop."""

    def __init__(self, model: Path | None = None, *, max_waiting: int = MAX_WAITING) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        data = (model or bundled_model()).read_bytes()
        self._session = onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")
        self._room = threading.BoundedSemaphore(max_waiting)

    async def score(self, pcm: bytes) -> float | None:
        """See the port."""
        if len(pcm) < 2:
            return None
        if not self._room.acquire(blocking=False):
            SCORE_SECONDS.labels("sound", "overloaded").observe(0.0)
            return None
        started = time.monotonic()
        computing = self._pool.submit(self.probability, pcm)
        # Counted until the thread is through with it: the caller may be cancelled before.
        computing.add_done_callback(lambda _: self._room.release())
        try:
            found = await asyncio.wrap_future(computing)
        except Exception:  # the outermost of the thread: a library may raise anything
            logger.exception("smart_turn.failed")
            return None
        SCORE_SECONDS.labels("sound", "scored").observe(time.monotonic() - started)
        return found

    def probability(self, pcm: bytes) -> float:
        """Computes for about 50 ms in the caller's thread."""
        (out,) = self._session.run(None, {"input_features": log_mel(_window(pcm))[None]})
        return float(out[0, 0])

    def close(self) -> None:
        """Give back the thread; what is being computed is finished first."""
        self._pool.shutdown(cancel_futures=True)


def _window(pcm: bytes) -> NDArray[np.float32]:
    """The last 8 s, silence in front of less, of mean 0 and variance 1 over all of it."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")[-_SAMPLES:]
    window = np.zeros(_SAMPLES, dtype=np.float32)
    window[_SAMPLES - len(samples) :] = samples.astype(np.float32) / 32768
    window -= window.mean()
    window /= np.sqrt(window.var() + _VARIANCE_FLOOR)
    return window


def bundled_model() -> Path:
    """The model file in the weights' package; RuntimeError when it is not the known one."""
    spec = find_spec("pipecat")
    if spec is None or spec.origin is None:
        raise RuntimeError("pipecat-ai: missing; it carries the model of the turn's end")
    folder = Path(spec.origin).parent / "audio" / "turn" / "smart_turn" / "data"
    path = folder / "smart-turn-v3.2-cpu.onnx"
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise RuntimeError(f"{path.name}: not the model of the turn's end this was written for")
    return path
