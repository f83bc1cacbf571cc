"""Voice activity by the Silero model on onnxruntime.

The weights (MIT) lie in the wheel of pipecat-ai, whose code is not used. Input is a window of 512
samples with the 64 before it, and a state of shape (2, 1, 128).
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

_SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
_CONTEXT = 64
_RATE_HZ = np.array(16_000, dtype=np.int64)


class SileroDetection:
    """See `visavis_egress.vad.VoiceDetection`."""

    def __init__(self, model: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        data = (model or bundled_model()).read_bytes()
        self._session = onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def detector(self) -> "SileroDetector":
        return SileroDetector(self._session)


class SileroDetector:
    """See `visavis_egress.vad.VoiceDetector`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros((1, _CONTEXT), dtype=np.float32)

    def probability(self, window: bytes) -> float:
        samples = np.frombuffer(window, dtype="<i2").astype(np.float32)[None] / 32768.0
        given = np.concatenate([self._context, samples], axis=1)
        out, self._state = self._session.run(
            None, {"input": given, "state": self._state, "sr": _RATE_HZ}
        )
        self._context = given[:, -_CONTEXT:]
        return float(out[0][0])


def bundled_model() -> Path:
    """The model file in the weights' package; RuntimeError when it is not the known one."""
    spec = find_spec("pipecat")
    if spec is None or spec.origin is None:
        raise RuntimeError("pipecat-ai: missing; it carries the voice activity model")
    path = Path(spec.origin).parent / "audio" / "vad" / "data" / "silero_vad.onnx"
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise RuntimeError(f"{path.name}: not the voice activity model this was written for")
    return path
