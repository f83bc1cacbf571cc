"""A conversation on a fake clock, with everybody around it played by the test."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.config import (
    FRAME_S,
    RATE_OUT_HZ,
    Persona,
    Timing,
    TurnTaking,
)
from visavis_egress.conversation.machine import Conversation
from visavis_egress.conversation.turns import Recovered

TICK_S = 0.02
FRAME_BYTES = 1024
PERSONA = Persona(instructions="Be kind.", apology="Sorry about that.")
GREETING = Persona(instructions="Be kind.", greeting="Hello there.", apology="Sorry about that.")
TIMING = Timing(echo_guard_s=0.0)
PATIENT_MODEL = TurnTaking(speculation=False)
"""The language model is asked once the turn is stored."""

C = TypeVar("C", bound=do.Command)


def first_value(key: int) -> int:
    """Where the samples of a sound begin to count: a multiple of 64, different for 1024 keys."""
    return key * 65 * 64 & 0xFFFF


@lru_cache(maxsize=64)
def sound(key: int, samples: int) -> bytes:
    """Samples that tell where they come from: sample i is `first_value(key)` + i."""
    values = np.arange(first_value(key), first_value(key) + samples) & 0xFFFF
    return bytes(values.astype("<u2").tobytes())


def seconds_of(pcm: bytes) -> float:
    """Length of sound on its way to the avatar."""
    return len(pcm) / 2 / RATE_OUT_HZ


def frame(index: int) -> bytes:
    """One microphone frame that tells its number."""
    return struct.pack("<I", index) + bytes(FRAME_BYTES - 4)


def frames_of(pcm: bytes) -> list[int]:
    """The numbers of the frames in a snapshot."""
    return [struct.unpack_from("<I", pcm, at)[0] for at in range(0, len(pcm), FRAME_BYTES)]


@dataclass(frozen=True, slots=True)
class Logged:
    """A command and when it was given."""

    at: float
    command: do.Command


class Stage:
    """Feeds one conversation and writes down all that it wants done."""

    def __init__(
        self,
        persona: Persona = PERSONA,
        *,
        timing: Timing = TIMING,
        generation: int = 1,
        recovered: Recovered | None = None,
        taking: TurnTaking = PATIENT_MODEL,
    ) -> None:
        self.now = 1000.0
        self.log: list[Logged] = []
        self.frames = 0
        self.brain = Conversation(
            persona,
            timing,
            generation=generation,
            now=self.now,
            recovered=recovered,
            taking=taking,
        )
        self._note(self.brain.begin(self.now))

    def _note(self, commands: list[do.Command]) -> list[do.Command]:
        self.log += [Logged(self.now, command) for command in commands]
        return commands

    def feed(self, event: on.Event) -> list[do.Command]:
        """Tell the conversation something now."""
        return self._note(self.brain.feed(event, self.now))

    def seat(self) -> "Stage":
        """Bring avatar, person and microphone."""
        for event in (on.AvatarReady(), on.PersonJoined(), on.MicrophoneReady()):
            self.feed(event)
        return self

    def wait(self, seconds: float) -> list[do.Command]:
        """Let time pass."""
        return self.until(lambda: False, seconds)

    def until(self, is_done: Callable[[], bool], at_most_s: float) -> list[do.Command]:
        """Let time pass until something is so, or for `at_most_s`."""
        out: list[do.Command] = []
        end = self.now + at_most_s
        while self.now < end - 1e-9 and not is_done():
            self.now += min(TICK_S, end - self.now)
            out += self.feed(on.Tick())
        return out

    def voice(self, seconds: float, probability: float = 0.9) -> list[do.Command]:
        """Send microphone frames for so long."""
        out: list[do.Command] = []
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            self.frames += 1
            out += self.feed(on.VoiceFrame(frame(self.frames), probability))
        return out

    def silence(self, seconds: float) -> list[do.Command]:
        """Send frames without speech for so long."""
        return self.voice(seconds, 0.01)

    # What it wanted

    def all(self, kind: type[C]) -> list[C]:
        """Every command of a kind so far."""
        return [entry.command for entry in self.log if isinstance(entry.command, kind)]

    @property
    def snapshots(self) -> list[do.Transcribe]:
        """What is to be recognised for good, not for a caption."""
        return [command for command in self.all(do.Transcribe) if not command.partial]

    def last(self, kind: type[C]) -> C:
        """The newest command of a kind."""
        return self.all(kind)[-1]

    def times(self, kind: type[do.Command]) -> list[float]:
        """When commands of a kind were given."""
        return [entry.at for entry in self.log if isinstance(entry.command, kind)]

    def shows(self, state: do.State) -> bool:
        """Is this what the room sees?"""
        return self.last(do.SetState).state is state

    def is_quiet(self) -> bool:
        """Nothing is being said, answered or recognised."""
        return self.brain.is_quiet

    @property
    def played(self) -> bytes:
        """Everything that was handed to the avatar."""
        return b"".join(piece.pcm for piece in self.all(do.PlayAudio))

    # Whole steps

    def say(self, text: str, speech_s: float = 1.0) -> None:
        """The person speaks, is recognised, and the turn is stored."""
        self.voice(speech_s)
        self.silence(0.55)
        self.recognise(text)
        self.feed(on.TurnCommitted(self.last(do.Commit).turn))

    def recognise(self, text: str, words: float = 1.0, sound: float = 1.0) -> list[do.Command]:
        """The newest snapshot's text and scores arrive: by default those of a finished turn."""
        revision = self.snapshots[-1].revision
        out = self.feed(on.Transcribed(revision, text))
        out += self.feed(on.SoundScored(revision, sound))
        return out + self.feed(on.TextScored(revision, words))

    def understand(self, text: str) -> list[do.Command]:
        """The newest snapshot's text arrives, and no scores yet."""
        return self.feed(on.Transcribed(self.snapshots[-1].revision, text))

    def say_so_far(self, text: str, speech_s: float = 1.0) -> int:
        """The person pauses; what was said so far is known, and may be all of it: its revision."""
        self.voice(speech_s)
        self.silence(0.13)
        self.understand(text)
        revision = self.snapshots[-1].revision
        self.feed(on.TextScored(revision, 0.3))
        return revision

    def decide(self, revision: int) -> None:
        """The scorers are sure, and silence goes on."""
        self.feed(on.TextScored(revision, 1.0))
        self.feed(on.SoundScored(revision, 1.0))
        self.silence(0.25)

    def type(self, text: str) -> None:
        """The person types; the turn is stored."""
        self.feed(on.TextTyped(text))
        self.feed(on.TurnCommitted(self.last(do.Commit).turn))

    def generate(self, *texts: str, complete: bool = True) -> int:
        """The language model answers the newest request; returns its epoch."""
        epoch = self.last(do.Generate).epoch
        self.feed(on.SentencesReady(epoch, texts, complete))
        return epoch

    def synthesize(self, epoch: int, index: int, seconds: float = 1.0, key: int = 1) -> bytes:
        """A sentence's sound arrives at once."""
        pcm = sound(key, round(seconds * RATE_OUT_HZ))
        for event in speech_events(epoch, index, pcm):
            self.feed(event)
        return pcm

    def answer(self, *texts: str, seconds: float = 1.0) -> bytes:
        """The whole answer arrives at once: its sound."""
        epoch = self.generate(*texts)
        return b"".join(
            self.synthesize(epoch, index, seconds, index + 1) for index in range(len(texts))
        )

    def prepare_apology(self, seconds: float = 1.0) -> bytes:
        """The apology's sound arrives, as it does at the session's start."""
        return self.synthesize(self.all(do.Synthesize)[0].epoch, 0, seconds, key=9)

    def ask(self) -> None:
        """The person asks something; the language model is at it."""
        self.say("What is it?")

    def speaking(self, *texts: str, seconds: float = 4.0) -> bytes:
        """The avatar is half a second into an answer: its sound."""
        self.ask()
        pcm = self.answer(*texts or ("one two three four five six",), seconds=seconds)
        self.wait(0.1)
        self.feed(on.PlaybackStarted())
        self.wait(0.5)
        assert self.shows(do.State.SPEAKING)
        return pcm


def stage_with(timing: Timing = TIMING, **changes: float | bool) -> Stage:
    """A seated stage whose turn taking differs from the patient model's."""
    return Stage(timing=timing, taking=replace(PATIENT_MODEL, **changes)).seat()  # type: ignore[arg-type]


def speech_events(
    epoch: int, index: int, pcm: bytes, chunk_s: float = 0.1
) -> Iterator[on.SpeechArrived | on.SpeechEnded]:
    """What the speech stage sends for a sentence."""
    step = round(chunk_s * RATE_OUT_HZ) * 2
    for start in range(0, len(pcm), step):
        yield on.SpeechArrived(epoch, index, start // 2, pcm[start : start + step])
    yield on.SpeechEnded(epoch, index, len(pcm) // 2)
