"""One held session: carries the conversation's commands out and feeds it with what happens."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from visavis.session.v1 import session_pb2 as api
from visavis_egress import records, telemetry
from visavis_egress.control import Control
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.machine import Conversation
from visavis_egress.ending import ended
from visavis_egress.errors import AvatarTrouble
from visavis_egress.inbox import Inbox
from visavis_egress.journal import Journal
from visavis_egress.lane import Lane
from visavis_egress.lease import Lease
from visavis_egress.room import (
    ChatRefused,
    MicrophoneSound,
    OtherAvatarCame,
    PersonCame,
    Room,
    RoomEvent,
    RoomLost,
)
from visavis_egress.scorers import SoundScorer, TextScorer
from visavis_egress.scoring import Scoring
from visavis_egress.seat import MakeAvatar, Seat
from visavis_egress.vad import WINDOW_BYTES, VoiceDetector
from visavis_egress.waste import Waste
from visavis_egress.works import Works
from visavis_runtime import log
from visavis_runtime.bus import Bus
from visavis_runtime.errors import BusError, LeaseLost, VisavisError

logger = log.get(__name__)

_TICK_S = 0.02
_LOOK_S = 1.0
"""How often the results are looked up in the stream: a delivery may have been missed."""


@dataclass(slots=True)
class Parts:
    """What a session is put together from."""

    bus: Bus
    lease: Lease
    journal: Journal
    room: Room
    detector: VoiceDetector
    works: Works
    make_avatar: MakeAvatar
    fallback: MakeAvatar | None
    evict_others: Callable[[], Awaitable[None]]
    """Removes everybody from the room who speaks for us and is not our avatar."""
    text_scorer: TextScorer | None = None
    sound_scorer: SoundScorer | None = None


class Session:
    """Runs from `run` until the conversation ends, the lease is lost or the process drains."""

    def __init__(self, parts: Parts, conversation: Conversation) -> None:
        self._bus, self._lease, self._journal = parts.bus, parts.lease, parts.journal
        self._room, self._detector, self._works = parts.room, parts.detector, parts.works
        self._make_avatar, self._fallback = parts.make_avatar, parts.fallback
        self._evict_others = parts.evict_others
        self.is_replaced = False
        self._conversation = conversation
        self._id = parts.lease.session_id
        self._waste = Waste()
        generation = parts.lease.generation
        self._inbox = Inbox(self._bus, self._id, generation, self.feed, self._waste)
        self._scoring = Scoring(self._id, parts.text_scorer, parts.sound_scorer, self.feed)
        self._microphone = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        stoppable, bind = (lambda: conversation.stoppable), self._room.bind
        self.control = Control(self._bus, self._id, self.feed, self._over, stoppable, bind)
        self._log = logger.bind(session=self._id, generation=generation)
        self._writes = Lane("journal", self._on_write_error, self._crash)
        self._shows = Lane("room", self._on_room_error)
        self._voice = Lane("avatar", self._on_room_error)
        self._seat: Seat | None = None
        self._do: dict[type[do.Command], Callable[[Any], None]] = {
            do.Transcribe: lambda command: self._spawn(self._transcribe(command)),
            do.ScoreText: lambda command: self._spawn(self._scoring.text(command)),
            do.ScoreSound: lambda command: self._spawn(self._scoring.sound(command)),
            do.Generate: lambda command: self._spawn(self._generate(command)),
            do.Synthesize: lambda command: self._spawn(self._works.synthesize(command)),
            do.RepairSpeech: lambda _: self._spawn(self._inbox.repair_speech()),
            do.Cancel: lambda command: self._spawn(self._works.cancel(command)),
            do.Commit: lambda command: self._write(lambda: self._commit(command)),
            do.SaveCheckpoint: lambda command: self._write(lambda: self._save(command)),
            do.RecordOutcome: self._outcome,
            do.RecordTranscript: lambda command: self._record(records.transcript(command)),
            do.RecordSentence: lambda command: self._record(records.sentence(command)),
            do.RecordPlayback: lambda command: self._record(records.playback(command)),
            do.RecordPresence: lambda command: self._record(records.presence(command)),
            do.RecordResumed: lambda command: self._record(records.resumed(command)),
            do.RecordPhraseOff: lambda command: self._record(records.phrase_off(command)),
            do.RecordError: self._error,
            do.CountSpeculation: self._waste.judged,
            do.SetState: self._show_state,
            do.UserCaption: lambda c: self._show(
                lambda: self._room.show_user_words(c.segment, c.text, final=c.final)
            ),
            do.AgentCaption: lambda c: self._show(
                lambda: self._room.show_agent_words(c.segment, c.delta, final=c.final)
            ),
            do.PlayAudio: lambda command: self._speak(lambda seat: seat.play(command.pcm)),
            do.EndAudio: lambda _: self._speak(lambda seat: seat.finish()),
            do.StopAudio: lambda _: self._speak(lambda seat: seat.interrupt()),
            do.Duck: lambda c: self._speak(lambda seat: seat.duck(is_low=c.is_low)),
            do.EndSession: lambda command: self._finish(command.reason),
        }

    async def run(self) -> int | None:
        """Hold the session. Returns its EndReason, or None when it is not ours any more."""
        async with AsyncExitStack() as listening:
            for subscription in await self._inbox.subscribe():
                listening.push_async_callback(subscription.aclose)
            listening.push_async_callback((await self.control.serve()).aclose)
            await self._room.open(self.on_room)
            self._carry_out(self._conversation.begin(time.monotonic()))
            self._spawn(self._tick())
            self._spawn(self._look())
            return await self._over

    async def drain(self, timeout_s: float) -> None:
        """Let the running turn end (at most `timeout_s`), then save what a successor needs."""
        self.feed(on.DrainRequested())
        deadline = time.monotonic() + timeout_s
        while not self._conversation.is_quiet and time.monotonic() < deadline:
            if self._over.done():
                return
            await asyncio.sleep(_TICK_S)
        self._carry_out([self._conversation.checkpoint()])
        await self.settle(2.0)
        self._finish(None)

    async def aclose(self) -> None:
        """Leave the room, let the avatar go, stop everything."""
        async with AsyncExitStack() as leaving:  # the last one first, and none is left out
            leaving.push_async_callback(self._room.aclose)
            leaving.push_async_callback(self.close_avatar)
            for lane in (self._writes, self._shows, self._voice):
                leaving.push_async_callback(lane.aclose)
            await self.settle(2.0)
            await ended(self._tasks)

    async def settle(self, timeout_s: float) -> None:
        """Return when everything there was to store is stored."""
        await self._writes.flush(timeout_s)

    async def close_avatar(self) -> None:
        """Let the avatar go before the room does."""
        if self._seat:
            await self._seat.aclose()

    def feed(self, event: on.Event) -> None:
        """Tell the conversation, and do what it wants."""
        if self._over.done():
            return
        try:
            self._carry_out(self._conversation.feed(event, time.monotonic()))
        except Exception as error:  # a defect: the outermost loop of whatever brought the event
            self._crash(error)

    def _carry_out(self, commands: list[do.Command]) -> None:
        if not self._lease.is_held:
            self._finish(None)
            return
        for command in commands:
            self._do[type(command)](command)

    def _finish(self, reason: int | None) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def _crash(self, error: Exception) -> None:
        """Nothing is handed on, so that it counts: a poisoned session must not go on for ever."""
        if not self._over.done():
            self._over.set_exception(error)

    # The bus

    async def _transcribe(self, command: do.Transcribe) -> None:
        try:
            await self._works.transcribe(command)
        except VisavisError as error:
            self._log.error("session.work_failed", stage="asr", reason=str(error))
            self.feed(on.TranscribeFailed(command.revision, "UNAVAILABLE"))

    async def _generate(self, command: do.Generate) -> None:
        self._log.info("answer.asked", turn=command.turn, epoch=command.epoch)
        try:
            await self._works.generate(command)
        except VisavisError as error:
            self._log.error("session.work_failed", stage="llm", reason=str(error))
            self.feed(on.GenerateFailed(command.epoch, "UNAVAILABLE"))

    # The stream of events

    def _write(self, work: Callable[[], Awaitable[None]]) -> None:
        if not self._over.done():  # nothing is told after the end
            self._writes.put(work)

    def _record(self, record: records.Record) -> None:
        async def write() -> None:
            await self._journal.event(*record)

        self._write(write)

    async def _commit(self, command: do.Commit) -> None:
        kind, event = records.committed(command)
        message_id = f"{self._id}/req/{command.request_id}" if command.request_id else ""
        receipt = await self._journal.event(
            kind, event, message_id=message_id, beside=records.beside(command)
        )
        if command.origin is do.Origin.SPEECH:
            self._waste.turn_committed()
        self._log.info("turn.committed", turn=command.turn, origin=command.origin.name.lower())
        turn = command.turn
        if receipt.duplicate and command.request_id:
            turn = await self._works.turn_of(command.request_id)
        # The same number: it is our own write that was repeated, after a lost confirmation.
        is_new = turn == command.turn
        self.feed(on.TurnCommitted(turn) if is_new else on.CommitRepeated(command.turn))
        self.control.committed(command.request_id, turn)

    async def _save(self, command: do.SaveCheckpoint) -> None:
        await self._journal.checkpoint(records.checkpoint(command))

    def _outcome(self, command: do.RecordOutcome) -> None:
        telemetry.observe_turn(command)
        outcome = "interrupted" if command.interrupted else "completed"
        self._log.info("turn.over", turn=command.turn, epoch=command.epoch, outcome=outcome)
        self._record(records.outcome(command))

    def _error(self, command: do.RecordError) -> None:
        telemetry.ERRORS_TOTAL.labels(command.stage, command.code).inc()
        self._log.error("turn.error", turn=command.turn, stage=command.stage, code=command.code)
        self._record(records.error(command))

    def _on_write_error(self, error: VisavisError) -> None:
        self._log.error("session.write_failed", reason=str(error))
        # A lost lease or a bus that stays away: a successor goes on from what is stored.
        self._finish(None)

    # The room and the avatar

    def on_room(self, event: RoomEvent) -> None:
        """Take in what the room reports."""
        if isinstance(event, MicrophoneSound):
            self._hear(event.pcm)
        elif isinstance(event, OtherAvatarCame):
            self._spawn(self._evict_others())
        elif isinstance(event, ChatRefused):
            self._error(do.RecordError("egress", "TEXT_REFUSED", event.reason, 0))
        elif isinstance(event, RoomLost):
            if not self._over.done():  # else it is we who delete it
                self._log.warning("room.lost", reason=event.reason)
            self.is_replaced = event.is_replaced
            self._finish(None)
        else:
            if isinstance(event, PersonCame):
                self._take_seat()
            self.feed(records.room_fact(event))

    def _take_seat(self) -> None:
        """The vendor counts connected seconds: they begin when somebody can see the face."""
        if not self._seat:
            self._seat = Seat(self._make_avatar, self._fallback, self)

    def _hear(self, pcm: bytes) -> None:
        self._microphone += pcm
        while len(self._microphone) >= WINDOW_BYTES:
            window = bytes(self._microphone[:WINDOW_BYTES])
            del self._microphone[:WINDOW_BYTES]
            self.feed(on.VoiceFrame(window, self._detector.probability(window)))

    def _show(self, work: Callable[[], Awaitable[None]]) -> None:
        self._shows.put(work)

    def _show_state(self, command: do.SetState) -> None:
        self._show(lambda: self._room.show_state(command.state.value))
        self._record(records.state(command))

    def _speak(self, work: Callable[[Seat], Awaitable[None]]) -> None:
        async def guarded() -> None:
            if self._seat and self._lease.is_held:
                await work(self._seat)

        self._voice.put(guarded)

    def _on_room_error(self, error: VisavisError) -> None:
        self._log.warning("session.show_failed", reason=str(error))

    def avatar_started(self, connection_id: str) -> None:
        """See `SeatListener`."""
        self._log.info("avatar.started", connection_id=connection_id)
        step = api.AvatarEvent.STEP_STARTED
        self._avatar_event(api.AvatarEvent(step=step, connection_id=connection_id))
        self.feed(on.AvatarReady())

    def avatar_lost(self, trouble: AvatarTrouble) -> None:
        """See `SeatListener`."""
        self._log.warning("avatar.lost", code=trouble.code, connection_id=trouble.connection_id)
        self._avatar_event(_avatar(api.AvatarEvent.STEP_LOST, trouble))
        self.feed(on.AvatarLost())

    def avatar_fallback(self, trouble: AvatarTrouble) -> None:
        """See `SeatListener`."""
        event = _avatar(api.AvatarEvent.STEP_FALLBACK, trouble)
        event.fallback = api.AVATAR_FALLBACK_AUDIO_ONLY
        self._avatar_event(event)

    def avatar_failed(self, trouble: AvatarTrouble) -> None:
        """See `SeatListener`."""
        event = _avatar(api.AvatarEvent.STEP_FALLBACK, trouble)
        event.fallback = api.AVATAR_FALLBACK_END
        self._avatar_event(event)
        self.feed(on.AvatarFailed())

    def _avatar_event(self, event: api.AvatarEvent) -> None:
        self._record(("avatar", api.SessionEvent(avatar=event)))

    # Clocks

    async def _tick(self) -> None:
        while True:
            self.feed(on.Tick())
            await asyncio.sleep(_TICK_S)

    async def _look(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            looks += 1
            with suppress(BusError):
                if looks % 5 == 0:
                    await self.control.look()
                if not self._conversation.is_quiet:
                    await self._inbox.look_up()

    def _spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except LeaseLost:
                self._finish(None)
            except VisavisError as error:
                self._log.warning("session.task_failed", reason=str(error))
            except Exception as error:  # the outermost loop of a task
                self._crash(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _avatar(step: "api.AvatarEvent.Step.ValueType", trouble: AvatarTrouble) -> api.AvatarEvent:
    return api.AvatarEvent(
        step=step,
        code=trouble.code,
        connection_id=trouble.connection_id,
        request_id=trouble.request_id,
    )
