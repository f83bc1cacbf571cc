"""Hibari, a small English voice on onnxruntime; renders a sentence at a time."""

import asyncio
import hashlib
import importlib.util
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hibari import SAMPLE_RATE, Hibari

from visavis_tts.engine import NotWarmError, Samples

# hibari.onnx of PyPI hibari-tts 0.2.1 (Apache-2.0), voice "heart".
WEIGHTS_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
VOICE = "heart"
"""The only voice in the package; the library would download the others."""
_SEED = 0  # its breath noise is random: a fixed seed makes two attempts the same


class HibariSynthesizer:
    """24 kHz. One thread of its own, so one sentence at a time."""

    rate_hz: int = SAMPLE_RATE
    voices = frozenset({VOICE})
    languages = frozenset({"en"})

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="hibari")
        self._model: Hibari | None = None

    async def warm(self) -> None:
        """See the port."""
        loop = asyncio.get_running_loop()
        self._model = await loop.run_in_executor(self._executor, self._load)

    async def ready(self) -> None:
        """See the port."""
        self._warm_model()

    async def speak(self, text: str, voice: str) -> AsyncGenerator[Samples, None]:
        """See the port."""
        pieces: Iterator[Samples] = self._warm_model().stream(text, seed=_SEED)
        loop = asyncio.get_running_loop()
        while True:
            piece = await loop.run_in_executor(self._executor, next, pieces, None)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        """See the port."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> Hibari:
        model = Hibari(voice=VOICE, model=str(weights()), threads=self._threads)
        for _ in model.stream("Good morning.", seed=_SEED):
            pass
        return model

    def _warm_model(self) -> Hibari:
        if self._model is None:
            raise NotWarmError("the model is not loaded yet")
        return self._model


def weights() -> Path:
    """The model's file. Raises RuntimeError when it is not the pinned one."""
    found = importlib.util.find_spec("hibari")
    assert found
    assert found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "assets" / "hibari.onnx"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise RuntimeError(f"{path}: not the pinned weights (sha256 {digest})")
    return path
