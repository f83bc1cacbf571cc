"""What the real pieces make of a clip: voice activity, words, and how finished both seem."""

import asyncio
import math
from dataclasses import dataclass
from functools import cache

from tests.eval.turns.clips import Clip
from visavis_asr.whisper import WhisperTranscriber
from visavis_asr.worker import is_speech
from visavis_egress.conversation.config import FRAME_S, Timing, TurnTaking
from visavis_egress.conversation.events import VoiceFrame
from visavis_egress.conversation.listening import Ear
from visavis_egress.silero import SileroDetection
from visavis_egress.smart_turn import SmartTurn
from visavis_egress.vad import WINDOW_BYTES

SOUND_ASKED_S = 0.2
"""Silence after which the sound is scored, once."""
ASR_WINDOW_S = 8.0


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence of the person, as the session sees it."""

    from_s: float
    """End of the last voiced frame."""
    until_s: float
    """End of the frame in which the voice is back; infinite: it does not come back."""
    snapshot: tuple[int, int]
    """Where in the clip the utterance lies, as the recognition gets it at the dip; bytes."""
    sounded: tuple[int, int] | None
    """The same for the sound's score; None: the silence was too short to ask."""


def silences(clip: Clip) -> list[Silence]:
    """Every silence of at least a dip after the first word, up to where the person goes on."""
    ear, detector = Ear(Timing()), _detection().detector()
    found: list[Silence] = []
    seen: _Open | None = None
    for start in range(0, len(clip.pcm) - WINDOW_BYTES + 1, WINDOW_BYTES):
        window = clip.pcm[start : start + WINDOW_BYTES]
        end, now = start + WINDOW_BYTES, (start // WINDOW_BYTES + 1) * FRAME_S
        was_at = ear.last_voice_at
        ear.hear(VoiceFrame(window, detector.probability(window)), now)
        if not ear.is_open or ear.last_voice_at <= clip.said_from_s:
            continue
        if seen and ear.last_voice_at != was_at:
            found.append(seen.closed(now))
            seen = None
            if now > clip.said_until_s + clip.pause_s:
                return found
        part = (end - len(ear.snapshot()), end)
        silence_s = ear.silence_s(now)
        if seen is None and silence_s >= TurnTaking().dip_s:
            seen = _Open(ear.last_voice_at, part)
        if seen and seen.sounded is None and silence_s >= SOUND_ASKED_S:
            seen.sounded = part
    return [*found, seen.closed(math.inf)] if seen else found


@dataclass(slots=True)
class _Open:
    from_s: float
    snapshot: tuple[int, int]
    sounded: tuple[int, int] | None = None

    def closed(self, until_s: float) -> Silence:
        return Silence(self.from_s, until_s, self.snapshot, self.sounded)


def words(pcm: bytes) -> str:
    """As the recognition service answers; empty when it hears no speech."""
    loop, transcriber = _transcriber()
    found = loop.run_until_complete(transcriber.transcribe(pcm, "en"))
    return found.text if is_speech(found) else ""


def sound(pcm: bytes) -> float:
    """Probability that the turn is over, by its sound."""
    return _smart_turn().probability(pcm)


@cache
def _detection() -> SileroDetection:
    return SileroDetection()


@cache
def _transcriber() -> tuple[asyncio.AbstractEventLoop, WhisperTranscriber]:
    loop = asyncio.new_event_loop()
    transcriber = WhisperTranscriber(threads=1, window_s=ASR_WINDOW_S)
    loop.run_until_complete(transcriber.warm())
    return loop, transcriber


@cache
def _smart_turn() -> SmartTurn:
    return SmartTurn()
