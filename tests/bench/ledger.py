"""How long the engines took for each answer, read off the bus as it passes."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.duration_pb2 import Duration

from tests.support.recording import voiced
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import nats_bus, subjects
from visavis_runtime.bus import Message

Key = tuple[str, int]
"""Session and turn."""


@dataclass
class Ledger:
    """Keeps, for each turn, the newest recognition and the newest attempt at an answer."""

    _asr: dict[Key, float] = field(default_factory=dict)
    _llm: defaultdict[Key, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    _tts: defaultdict[Key, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    _sound: defaultdict[Key, defaultdict[tuple[int, int], bytearray]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(bytearray))
    )

    def engines(self, session_id: str, turn: int) -> dict[str, float]:
        """Seconds of each engine up to what it took to begin the answer."""
        key = session_id, turn
        llm, tts = self._llm[key], self._tts[key]
        return {
            "asr": self._asr.get(key, 0.0),
            "llm": llm[max(llm)] if llm else 0.0,
            "tts": tts[max(tts)] if tts else 0.0,
        }

    def audible_s(self, session_id: str, turn: int) -> float:
        """From the first to the last audible sample of a turn's speech, as it was synthesised."""
        sound = self._sound[session_id, turn]
        whole = b"".join(bytes(sound[place]) for place in sorted(sound))
        first, last = voiced(np.frombuffer(whole, dtype="<i2"), subjects.SPEECH_RATE_HZ)
        return (last - first) / subjects.SPEECH_RATE_HZ

    def on_asr(self, message: Message) -> None:
        """A snapshot was recognised."""
        result = pb.TranscribeResult.FromString(message.data)
        if not result.HasField("error"):
            key = result.address.session_id, result.address.turn
            self._asr[key] = _seconds(result.took)

    def on_llm(self, message: Message) -> None:
        """An answer has got so far: its first sentence counts."""
        result = pb.GenerateResult.FromString(message.data)
        if result.sentences:
            key = result.address.session_id, result.address.turn
            self._llm[key].setdefault(result.address.epoch, _seconds(result.took))

    def on_speech(self, message: Message) -> None:
        """The first sentence of an attempt was spoken (embedded voices give it in one piece)."""
        piece = pb.Speech.FromString(message.data)
        key = piece.address.session_id, piece.address.turn
        if piece.HasField("chunk"):
            sentence = self._sound[key][piece.address.epoch, piece.sentence]
            sentence[piece.chunk.sample_offset * subjects.BYTES_PER_SAMPLE :] = piece.chunk.pcm
        elif piece.HasField("end") and piece.sentence == 0:
            self._tts[key].setdefault(piece.address.epoch, _seconds(piece.end.took))


@asynccontextmanager
async def keeping(nats_url: str) -> AsyncIterator[Ledger]:
    """A ledger of everything that passes from now on."""
    ledger = Ledger()
    handlers = {
        subjects.result("asr", "*"): ledger.on_asr,
        subjects.result("llm", "*"): ledger.on_llm,
        subjects.speech("*"): ledger.on_speech,
    }
    async with AsyncExitStack() as stack:
        bus = await nats_bus.NatsBus().connect(nats_url, name="bench")
        stack.push_async_callback(bus.aclose)
        for subject, handler in handlers.items():
            subscription = await bus.subscribe(subject, handler)
            stack.push_async_callback(subscription.aclose)
        yield ledger


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()
