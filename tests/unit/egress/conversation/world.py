"""Everybody around a conversation, none of whom can be relied on.

Commands are answered late, in any order, twice, or not at all, as a seeded generator decides. Two
promises of the driver are kept: an avatar that was lost comes back, and the avatar's reports are
about its newest request.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tests.unit.egress.conversation.driver import (
    GREETING,
    PATIENT_MODEL,
    TIMING,
    Stage,
    frame,
    seconds_of,
    sound,
)
from tests.unit.egress.conversation.judge import Judge
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.config import FRAME_S, RATE_OUT_HZ, Persona, TurnTaking
from visavis_egress.conversation.turns import Recovered

TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad the world is: probabilities, and seconds of delay at most."""

    loss: float = 0.0
    repeat: float = 0.0
    failure: float = 0.0
    delay_s: float = 0.2
    hang: float = 0.0
    """A stage never answers a whole request."""
    commit_loss: float = 0.0


class Avatar:
    """Plays what it is given in real time, from a little after the first sample."""

    def __init__(self) -> None:
        self.request = 0
        self.is_there = False
        self.clear()

    def clear(self) -> None:
        self.sent_s = self.position_s = 0.0
        self.starts_at: float | None = None
        self.is_ended = self.is_start_told = False
        self._at = 0.0

    def take(self, request: int, pcm: bytes, now: float, delay_s: float) -> None:
        if request != self.request:
            self.clear()
            self.request, self.starts_at, self._at = request, now + delay_s, now
        self.follow(now)
        self.sent_s += seconds_of(pcm)

    def follow(self, now: float) -> None:
        if self.starts_at is not None and now > self.starts_at:
            moved = self.position_s + now - max(self._at, self.starts_at)
            self.position_s = min(self.sent_s, moved)
        self._at = max(self._at, now)


class World:
    """One session from its beginning to its silence."""

    def __init__(
        self,
        seed: int,
        faults: Faults,
        recovered: Recovered | None = None,
        taking: TurnTaking = PATIENT_MODEL,
        persona: Persona = GREETING,
    ) -> None:
        self._random, self._faults = Random(seed), faults
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._keys: dict[tuple[int, int], tuple[int, int]] = {}
        self._published: dict[int, list[on.Event]] = {}
        self.is_silent = False
        self.avatar = Avatar()
        timing = replace(TIMING, echo_guard_s=self._random.choice((0.0, 3.0)))
        self.stage = Stage(persona, timing=timing, generation=2, recovered=recovered, taking=taking)
        self.judge = Judge(self.stage, self._keys, recovered or Recovered())
        for logged in tuple(self.stage.log):
            self._handle(logged.command)

    # Time

    def at(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._due, (self.stage.now + delay_s, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let time pass, with all that is due in it."""
        end = self.stage.now + seconds
        while self.stage.now < end:
            tick_at = min(end, self.stage.now + TICK_S)
            while self._due and self._due[0][0] <= tick_at:
                due_at, _, action = heapq.heappop(self._due)
                self.stage.now = max(self.stage.now, due_at)
                action()
            self.stage.now = tick_at
            self._report_playback()
            self.feed(on.Tick())

    def feed(self, event: on.Event) -> None:
        """Tell the conversation something, and carry out what it wants."""
        self.judge.hear(event)
        for command in self.stage.feed(event):
            self._handle(command)

    def send(self, event: on.Event, extra_s: float = 0.0) -> None:
        """Let an event arrive: late, twice or never."""
        if self._chance(self._faults.loss):
            return
        for _ in range(2 if self._chance(self._faults.repeat) else 1):
            delay_s = extra_s + self._random.uniform(0, self._faults.delay_s)
            self.at(delay_s, lambda: None if self.is_silent else self.feed(event))

    def fall_silent(self) -> None:
        """From now on nothing arrives, except an avatar that the driver has to bring."""
        self.is_silent = True
        self._due.clear()
        if not self.avatar.is_there:
            self.bring_avatar()

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    # What people do

    def speak(self, seconds: float) -> None:
        """The person's microphone: speech, then silence."""
        voiced = max(1, round(seconds / FRAME_S))
        loudness = self._random.choice((0.9, 0.9, 0.6))
        for index in range(voiced + 20):
            probability = loudness if index < voiced else 0.05
            self.at(index * FRAME_S, lambda probability=probability: self._hear(probability))  # type: ignore[misc]

    def _hear(self, probability: float) -> None:
        self.stage.frames += 1
        if probability > 0.5:
            self.judge.voiced.add(self.stage.frames)
        self.feed(on.VoiceFrame(frame(self.stage.frames), probability))

    def lose_avatar(self, back_after_s: float) -> None:
        """The vendor's connection breaks; the driver brings another."""
        if not self.avatar.is_there:
            return
        self.avatar.is_there = False
        self.avatar.clear()
        self.feed(on.AvatarLost())
        self.at(back_after_s, self.bring_avatar)

    def bring_avatar(self) -> None:
        """An avatar is in the room."""
        self.avatar.is_there = True
        self.feed(on.AvatarReady())

    # What the conversation wants

    def _handle(self, command: do.Command) -> None:
        self.judge.see(command)
        handlers: dict[type[do.Command], Callable[..., None]] = {
            do.Transcribe: self._transcribe,
            do.ScoreText: lambda c: self.send(on.TextScored(c.revision, self._score())),
            do.ScoreSound: lambda c: self.send(on.SoundScored(c.revision, self._score())),
            do.Commit: self._commit,
            do.Generate: self._generate,
            do.Synthesize: lambda c: self._synthesize(c.epoch, c.sentence, c.text),
            do.RepairSpeech: self._repair,
            do.PlayAudio: self._play,
            do.EndAudio: self._end_audio,
            do.StopAudio: self._stop_audio,
        }
        if handler := handlers.get(type(command)):
            handler(command)

    def _transcribe(self, command: do.Transcribe) -> None:
        revision = command.revision
        if command.partial:
            self.send(on.PartlyTranscribed(revision, f"p{revision}"))
        elif self._chance(self._faults.failure):
            self.send(on.TranscribeFailed(revision, "ENGINE_FAILED"))
        elif not self.judge.has_voice(command):
            self.send(on.Transcribed(revision, ""))
        else:
            text = self._random.choice(("", "Mm-hm.", *[f"r{revision}"] * 8))
            self.send(on.Transcribed(revision, text, self._random.choice((0.0, 0.1, 0.9, 0.9))))

    def _score(self) -> float | None:
        return self._random.choice((None, 0.0, 0.3, 0.9, 1.0))

    def _commit(self, command: do.Commit) -> None:
        event: on.Event = on.TurnCommitted(command.turn)
        if command.request_id and self.judge.is_known_request(command):
            event = on.CommitRepeated(command.turn)
        if not self._chance(self._faults.commit_loss):
            delay_s = self._random.uniform(0, self._faults.delay_s)
            for _ in range(2 if self._chance(self._faults.repeat) else 1):
                self.at(delay_s, lambda: None if self.is_silent else self.feed(event))

    def _generate(self, command: do.Generate) -> None:
        if self._chance(self._faults.hang):
            return
        count = self._random.choice((0, 1, 1, 2, 3, 5)) + len(command.prefix)
        name = f"e{command.epoch & 0xFFFF}"
        texts = list(command.prefix)
        for index in range(len(texts), count):
            words = range(self._random.randint(1, 6))
            texts.append(" ".join(f"{name}s{index}w{word}" for word in words))
        delay_s = 0.0
        for index in range(len(command.prefix), count):
            delay_s += self._random.uniform(0.05, 1.0)
            is_last = index == count - 1
            self.send(on.SentencesReady(command.epoch, tuple(texts[: index + 1]), is_last), delay_s)
            self._synthesize(command.epoch, index, texts[index], delay_s)
        if count == len(command.prefix):
            self.send(on.SentencesReady(command.epoch, tuple(texts), True))
        if self._chance(self._faults.failure):
            self.send(on.GenerateFailed(command.epoch, "ENGINE_FAILED"), delay_s)

    def _synthesize(self, epoch: int, index: int, text: str, delay_s: float = 0.0) -> None:
        if self._chance(self._faults.hang):
            return
        if self._chance(self._faults.failure):
            self.send(on.SynthesizeFailed(epoch, index, "ENGINE_FAILED"), delay_s)
            return
        # Never longer than the words suggest, so that the estimate of unfinished ones is no excuse.
        seconds = len(text) / 15 * self._random.uniform(0.4, 1.0)
        # 7 over a multiple of 64: no sentence ends just below where another begins to count.
        new = (len(self._keys), int(seconds * RATE_OUT_HZ) // 64 * 64 + 7)
        key, samples = self._keys.setdefault((epoch, index), new)
        pcm = sound(key, samples)
        size = self._random.choice((2400, 2400, 1000)) * 2
        for start in range(0, len(pcm), size):
            delay_s += self._random.uniform(0, 0.1)
            piece = on.SpeechArrived(epoch, index, start // 2, pcm[start : start + size])
            self._publish(epoch, piece, delay_s)
        self._publish(epoch, on.SpeechEnded(epoch, index, samples), delay_s)

    def _publish(self, epoch: int, event: on.Event, delay_s: float) -> None:
        self._published.setdefault(epoch, []).append(event)
        self.send(event, delay_s)

    def _repair(self, command: do.RepairSpeech) -> None:
        for event in self._published.get(command.epoch, ()):
            self.send(event)

    # The avatar

    def _play(self, command: do.PlayAudio) -> None:
        self.judge.check(self.avatar.is_there, "no sound without an avatar")
        start_s = self._random.uniform(0.05, 1.2)
        self.avatar.take(command.request, command.pcm, self.stage.now, start_s)
        lead_s = self.avatar.sent_s - self.avatar.position_s
        self.judge.check(lead_s <= 2.1 + 1e-3, f"{lead_s} s ahead of the avatar")

    def _end_audio(self, _: do.EndAudio) -> None:
        self.avatar.is_ended = True

    def _stop_audio(self, command: do.StopAudio) -> None:
        self.avatar.follow(self.stage.now)
        if command.request == self.avatar.request:
            self._report(on.PlaybackFinished(self.avatar.position_s, True))
            self.avatar.starts_at = None

    def _report_playback(self) -> None:
        avatar = self.avatar
        avatar.follow(self.stage.now)
        if avatar.starts_at is None:
            return
        if avatar.position_s > 0 and not avatar.is_start_told:
            avatar.is_start_told = True
            self._report(on.PlaybackStarted())
        if avatar.is_ended and avatar.position_s >= avatar.sent_s:
            avatar.starts_at = None
            self._report(on.PlaybackFinished(avatar.position_s, False))

    def _report(self, event: on.Event) -> None:
        request = self.avatar.request
        if self._chance(self._faults.loss):
            return

        def arrive() -> None:
            is_newest = self.avatar.is_there and request == self.avatar.request
            if is_newest and not self.is_silent:
                self.feed(event)

        self.at(self._random.uniform(0, self._faults.delay_s), arrive)
