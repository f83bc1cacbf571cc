"""From a job to a held session and to its end: who may begin, take over, or must let go."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from google.protobuf.duration_pb2 import Duration

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress import recovery, telemetry
from visavis_egress.avatar import Identity
from visavis_egress.conversation.config import Persona, Timing
from visavis_egress.conversation.machine import Conversation
from visavis_egress.journal import Journal
from visavis_egress.lease import Lease, LeaseTimes, monotonic
from visavis_egress.room import RoomAdmin
from visavis_egress.session import Parts, Session
from visavis_egress.turn_taking import turn_taking
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, Entry, Stored, WorkItem
from visavis_runtime.errors import BusError, BusUnavailable, LeaseLost, VisavisError, WrongRevision

logger = log.get(__name__)

_FRESH_S = 10.0
"""A session that nobody took within this time of its job is rejected, not begun late."""
_DRAIN_S = 10.0
_SETTLE_S = 5.0

MakeParts = Callable[[Lease, pb.SessionSpec], Parts]
"""Builds the room, the avatar and the rest for one held session."""

Describe = Callable[[pb.SessionSpec], Identity]
"""Tells which face a session gets."""


@dataclass(frozen=True, slots=True)
class Hall:
    """What all sessions of the process share."""

    bus: Bus
    admin: RoomAdmin
    make_parts: MakeParts
    describe: Describe
    instance: str
    lease_times: LeaseTimes = field(default_factory=LeaseTimes)
    timing: Timing = field(default_factory=Timing)


class Holder:
    """One job's life in this process."""

    def __init__(self, hall: Hall, item: WorkItem) -> None:
        self._hall, self._bus, self._item = hall, hall.bus, item
        self.session_id = subjects.session_of(item.subject)
        self._session: Session | None = None
        self._is_draining = False
        self._log = logger.bind(session=self.session_id)

    async def drain(self) -> None:
        """Finish the running turn and hand the session on."""
        self._is_draining = True
        if self._session:
            await self._session.drain(_DRAIN_S)

    async def run(self) -> None:
        """Hold the session until it is over or not ours any more."""
        lease = Lease(self._item, self._bus, self._hall.instance, self._hall.lease_times, monotonic)
        # From the beginning to the end: LiveKit may take its time at both.
        keeping = asyncio.create_task(lease.keep(), name=f"lease {self.session_id}")
        try:
            await self._hold(lease)
        except LeaseLost as error:
            self._log.warning("session.lost", reason=str(error))
        except VisavisError as error:
            self._log.error("session.failed", reason=str(error))
            await self._hand_on(lease)
        finally:
            keeping.cancel()

    async def _hold(self, lease: Lease) -> None:
        spec_entry = await self._bus.read(f"{self.session_id}.spec")
        status_entry = await self._bus.read(f"{self.session_id}.status")
        if spec_entry is None or status_entry is None:
            self._log.warning("session.unknown")
            await self._clear(lease)
            return
        spec = pb.SessionSpec.FromString(spec_entry.value)
        state = pb.SessionStatus.FromString(status_entry.value).state
        if state in (api.SESSION_STATE_REJECTED, api.SESSION_STATE_ENDED):
            await self._clear(lease)
            return
        await lease.take()
        state = await self._settle_status(lease, spec)
        if state in (api.SESSION_STATE_ACTIVE, api.SESSION_STATE_ENDING):
            await self._run_session(lease, spec)
        else:
            await self._clear(lease)

    async def _settle_status(
        self, lease: Lease, spec: pb.SessionSpec
    ) -> "api.SessionState.ValueType":
        """Begin, take over or reject, whatever compare-and-set allows; returns the state then."""
        while True:
            entry = await self._bus.read(f"{self.session_id}.status")
            if entry is None:
                return api.SESSION_STATE_REJECTED
            status = pb.SessionStatus.FromString(entry.value)
            if status.state != api.SESSION_STATE_CREATING:
                return status.state
            is_fresh = lease.time_s - lease.job_time_s < _FRESH_S
            if is_fresh:
                await self._hall.admin.create(self.session_id)
                status.state = api.SESSION_STATE_ACTIVE
                status.avatar.CopyFrom(_avatar(self._hall.describe(spec)))
            else:
                status.state = api.SESSION_STATE_REJECTED
            with suppress(WrongRevision):
                await self._write_status(entry, status)

    async def _run_session(self, lease: Lease, spec: pb.SessionSpec) -> None:
        past = await self._past(lease)
        if past.ended is not None:
            await self._wind_up(lease, past.ended)
            return
        if spec.end_requested or past.is_poisonous:
            why = spec.end_reason if spec.end_requested else api.END_REASON_WORKER_LOST
            await self._announce_end(Journal(self._bus, lease), why)
            await self._wind_up(lease, why)
            return
        if lease.generation > 1:
            telemetry.TAKE_OVERS_TOTAL.inc()
        # Idempotent, and needed when LiveKit was restarted meanwhile.
        await self._hall.admin.create(self.session_id)
        conversation = await self._conversation(lease, spec, past)
        if self._is_draining:  # asked to stop while the lease was taken
            await self._hand_on(lease)
            return
        parts = self._hall.make_parts(lease, spec)
        journal = parts.journal
        session = self._session = Session(parts, conversation)
        for request_id, turn in past.requests.items():
            session.control.committed(request_id, turn)
        if not past.was_ready:
            ready = api.SessionChanged(step=api.SessionChanged.STEP_READY)
            await journal.event("session", api.SessionEvent(session=ready))
        self._log.info("session.held", generation=lease.generation)
        try:
            reason = await session.run()
            if reason is not None:
                await session.settle(_SETTLE_S)  # the end comes last
                await self._announce_end(journal, reason)
                await session.close_avatar()
                await self._wind_up(lease, reason)
            elif not session.is_replaced:
                await self._hand_on(lease)
        finally:
            self._session = None
            await session.aclose()

    async def _hand_on(self, lease: Lease) -> None:
        """Somebody, perhaps we, goes on: at once when we are leaving, else after a breath."""
        delay_s = 0.0 if self._is_draining else 0.5
        with suppress(BusError):
            if lease.generation == 0:
                await self._item.nak(delay_s)
            elif lease.is_held:
                await lease.release(delay_s)

    async def _conversation(
        self, lease: Lease, spec: pb.SessionSpec, past: recovery.Past
    ) -> Conversation:
        now = monotonic()
        subject = subjects.result("llm", self.session_id)
        last = await self._bus.last(subjects.RESULTS, subject, leader=True)
        known = recovery.recovered(past, last.data if last else None, now, lease.time_s)
        character = spec.resolved
        timing = _timing(self._hall.timing, character)
        persona = Persona(
            instructions=character.instructions,
            greeting=character.greeting,
            apology=character.apology,
            voice=character.voice,
            disclosure=character.disclosure,
            pardon=character.pardon,
            nudge=character.nudge,
        )
        return Conversation(
            persona,
            timing,
            generation=lease.generation,
            now=now,
            recovered=known,
            taking=turn_taking(character.turn_taking),
        )

    async def _past(self, lease: Lease) -> recovery.Past:
        """The session's events, complete: a lagging replica's answer lacks our own lease event."""
        for _ in range(50):
            stored: list[Stored] = []
            async for message in self._bus.replay(
                subjects.EVENTS, subjects.event("*", self.session_id)
            ):
                stored.append(message)
            if any(message.sequence == lease.guard.sequence for message in stored):
                return recovery.fold(stored)
            await asyncio.sleep(0.1)
        raise BusUnavailable("the event stream does not show our own lease event")

    async def _announce_end(self, journal: Journal, reason: int) -> None:
        ended = api.SessionChanged(
            step=api.SessionChanged.STEP_ENDED, reason=api.EndReason.ValueType(reason)
        )
        await journal.event("session", api.SessionEvent(session=ended))

    async def _wind_up(self, lease: Lease, reason: int) -> None:
        """Everything after the end is announced; a successor repeats it where it was cut off."""
        await self._hall.admin.delete(self.session_id)
        while entry := await self._bus.read(f"{self.session_id}.status"):
            status = pb.SessionStatus.FromString(entry.value)
            if status.state == api.SESSION_STATE_ENDED:
                break
            status.state = api.SESSION_STATE_ENDED
            status.end_reason = api.EndReason.ValueType(reason)
            with suppress(WrongRevision):
                await self._write_status(entry, status)
        await lease.done()
        self._log.info("session.ended", reason=api.EndReason.Name(api.EndReason.ValueType(reason)))

    async def _write_status(self, entry: Entry, status: pb.SessionStatus) -> None:
        key = f"{self.session_id}.status"
        await self._bus.update(key, status.SerializeToString(), entry.revision)

    async def _clear(self, lease: Lease) -> None:
        await self._hall.admin.delete(self.session_id)
        await lease.done()


def _avatar(identity: Identity) -> api.Avatar:
    return api.Avatar(
        provider=identity.provider,
        mode=identity.mode,
        app_id=identity.app_id,
        avatar_id=identity.avatar_id,
        region=identity.region,
    )


def _timing(timing: Timing, character: pb.ResolvedCharacter) -> Timing:
    if character.HasField("max_duration"):
        timing = replace(timing, max_duration_s=_seconds(character.max_duration))
    if character.HasField("max_silence"):
        timing = replace(timing, max_silence_s=_seconds(character.max_silence))
    return timing


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()
