"""Sessions on the bus in memory: a person, a room and the three model stages, all played."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.fake_room import Casting, FakeAdmin, FakeRoom
from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.avatar import Identity
from visavis_egress.conversation.config import Timing
from visavis_egress.holder import Hall, Holder
from visavis_egress.journal import Journal
from visavis_egress.lease import Lease, LeaseTimes
from visavis_egress.room import PersonCame
from visavis_egress.session import Parts
from visavis_egress.works import Works
from visavis_runtime import subjects
from visavis_runtime.bus import Bus, Message, WorkItem

SID = "01J00000000000000000000000"
State = api.SessionState
GREETING = "Hello there."
TIMING = Timing(start_report_s=0.05, finish_report_s=0.05, greeting_wait_s=0.05)


class Silence:
    """Hears nobody."""

    def probability(self, window: bytes) -> float:
        return 0.0


class Stages:
    """Answers generation work with its verbatim text or `answer`, synthesis work with sound."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus, self.answer = bus, "Because."
        self.asked: list[pb.GenerateWork] = []
        self.spoken: list[pb.SynthesizeWork] = []
        self.is_mute = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Begin to work."""
        await self.bus.subscribe(subjects.work("llm", "*"), self._generate)
        await self.bus.subscribe(subjects.work("tts", "*"), self._synthesize)

    def _generate(self, message: Message) -> None:
        work = pb.GenerateWork.FromString(message.data)
        self.asked.append(work)
        sentence = work.verbatim or self.answer
        result = pb.GenerateResult(address=work.address, sentences=[sentence], complete=True)
        sid = work.address.session_id
        self._spawn(subjects.result("llm", sid), result.SerializeToString())
        ask = pb.SynthesizeWork(address=work.address, text=sentence)
        self._spawn(subjects.work("tts", sid), ask.SerializeToString())

    def _synthesize(self, message: Message) -> None:
        work = pb.SynthesizeWork.FromString(message.data)
        self.spoken.append(work)
        if self.is_mute:
            return
        where = subjects.speech(work.address.session_id)
        chunk = pb.SpeechChunk(sample_rate_hz=24_000, pcm=bytes(480))
        piece = pb.Speech(address=work.address, sentence=work.sentence, chunk=chunk)
        self._spawn(where, piece.SerializeToString())
        piece.end.CopyFrom(pb.SpeechEnd(chunks=1, samples=240))
        self._spawn(where, piece.SerializeToString())

    def _spawn(self, subject: str, data: bytes) -> None:
        async def store() -> None:
            await self.bus.store(subject, data)

        self._tasks.add(task := asyncio.create_task(store()))
        task.add_done_callback(self._tasks.discard)


@dataclass
class Stage:
    """One bus; as many egress processes as a test wants."""

    server: MemoryServer
    admin: FakeAdmin = field(default_factory=FakeAdmin)
    rooms: list[FakeRoom] = field(default_factory=list)
    casts: list[Casting] = field(default_factory=list)
    next_room: Callable[[], FakeRoom] = FakeRoom
    lease_times: LeaseTimes = field(default_factory=LeaseTimes)
    timing: Timing = field(default_factory=lambda: TIMING)

    def __post_init__(self) -> None:
        self.bus = self.server.connect()
        self.stages = Stages(self.server.connect())

    def hall(self, bus: MemoryBus | None = None) -> Hall:
        """What a process has."""
        bus = bus or self.server.connect()

        def make(lease: Lease, spec: pb.SessionSpec) -> Parts:
            sid = lease.session_id
            self.rooms.append(self.next_room())
            self.rooms[-1].person = spec.participant_identity
            self.casts.append(Casting())
            return Parts(
                bus=bus,
                lease=lease,
                journal=Journal(bus, lease),
                room=self.rooms[-1],
                detector=Silence(),
                works=Works(bus, sid, lease.generation, spec.resolved),
                make_avatar=self.casts[-1],
                fallback=None,
                evict_others=lambda: self.admin.evict_avatars(sid, keep=""),
            )

        return Hall(
            bus=bus,
            admin=self.admin,
            make_parts=make,
            describe=lambda _: Identity("none", "audio_only"),
            instance="host-1",
            lease_times=self.lease_times,
            timing=self.timing,
        )

    async def ask_for(self, sid: str = SID, *, greeting: str = "", **spec: object) -> None:
        """What the session API does: spec, status, job."""
        wanted = pb.SessionSpec(session_id=sid, participant_identity="person", **spec)  # type: ignore[arg-type]
        wanted.resolved.greeting, wanted.resolved.apology = greeting, "Sorry."
        await self.bus.create(f"{sid}.spec", wanted.SerializeToString())
        status = pb.SessionStatus(state=api.SESSION_STATE_CREATING)
        await self.bus.create(f"{sid}.status", status.SerializeToString())
        await self.bus.store(subjects.job(sid), pb.EgressJob(session_id=sid).SerializeToString())

    async def holder(self, bus: MemoryBus | None = None) -> Holder:
        """A holder with the next job that there is."""
        hall = self.hall(bus)
        item = await self._job(hall.bus)
        assert item, "no job within 2 s"
        return Holder(hall, item)

    async def _job(self, bus: Bus, within_s: float = 2.0) -> WorkItem | None:
        queue, deadline = await bus.work(subjects.JOBS, "egress"), time.monotonic() + within_s
        while not (item := await queue.fetch()) and time.monotonic() < deadline:
            pass
        return item

    @asynccontextmanager
    async def held(self, bus: MemoryBus | None = None) -> AsyncIterator["Held"]:
        """A session in its room, being held; killed afterwards where it is not over."""
        one = Held(self, await self.holder(bus), len(self.rooms))
        try:
            await until(lambda: len(self.rooms) > one.number and one.room.opened.is_set(), "held")
            yield one
        finally:
            await one.kill()

    async def status(self, sid: str = SID) -> pb.SessionStatus:
        entry = await self.bus.read(f"{sid}.status")
        return pb.SessionStatus.FromString(entry.value) if entry else pb.SessionStatus()

    async def set_status(self, state: "State.ValueType", sid: str = SID) -> None:
        """As the session API, or an earlier holder."""
        entry = await self.bus.read(f"{sid}.status")
        status = pb.SessionStatus(state=state)
        await self.bus.update(
            f"{sid}.status", status.SerializeToString(), entry.revision if entry else 0
        )

    async def request_end(self, sid: str = SID) -> None:
        """What EndSession does."""
        entry = await self.bus.read(f"{sid}.spec")
        assert entry
        spec = pb.SessionSpec.FromString(entry.value)
        spec.end_requested, spec.end_reason = True, api.END_REASON_API
        await self.bus.update(f"{sid}.spec", spec.SerializeToString(), entry.revision)

    async def records(self, kind: str = "*", sid: str = SID) -> list[pb.EventRecord]:
        """What the event stream holds."""
        stored = self.bus.replay(subjects.EVENTS, subjects.event(kind, sid))
        return [pb.EventRecord.FromString(one.data) async for one in stored]

    async def until_turn(self, turn: int, step: str, sid: str = SID) -> api.TurnEvent:
        """A step of a turn, once it is stored."""
        wanted = api.TurnEvent.Step.Value(f"STEP_{step}")
        found: list[api.TurnEvent] = []
        for _ in range(500):
            events = [one.event.turn for one in await self.records("turn", sid)]
            if found := [one for one in events if (one.turn, one.step) == (turn, wanted)]:
                return found[0]
            await asyncio.sleep(0.01)
        raise AssertionError(f"turn {turn} not {step}: {await self.records()}")

    async def has_job(self, sid: str = SID) -> bool:
        return bool(await self.bus.last(subjects.JOBS, subjects.job(sid), leader=True))

    async def job_is_free(self, within_s: float = 2.0) -> bool:
        """True if the job is there for another holder (which then has it)."""
        return await self._job(self.bus, within_s) is not None

    async def control(self, request: pb.ControlRequest | bytes, sid: str = SID) -> pb.ControlReply:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        return pb.ControlReply.FromString(
            await self.bus.request(subjects.control(sid), data, timeout_s=5.0)
        )

    async def say(self, text: str, request_id: str = "r") -> pb.ControlReply:
        call = pb.SayCall(request_id=request_id, text=text)
        return await self.control(pb.ControlRequest(say=call))


class Held:
    """A held session in the test's hands."""

    def __init__(self, stage: Stage, holder: Holder, number: int) -> None:
        self._stage, self.holder, self.number = stage, holder, number
        self.running = asyncio.create_task(holder.run())

    @property
    def room(self) -> FakeRoom:
        return self._stage.rooms[self.number]

    @property
    def cast(self) -> Casting:
        return self._stage.casts[self.number]

    async def person_comes(self) -> None:
        """Into the room; the avatar follows."""
        self.room.tell(PersonCame())
        await until(lambda: ("state", "listening") in self.room.shown, "listening")

    async def over(self, within_s: float = 5.0) -> None:
        """The holder is done with it."""
        await asyncio.wait_for(asyncio.shield(self.running), within_s)

    async def kill(self) -> None:
        """Gone without a word, as after SIGKILL (but for sockets that the test must close)."""
        self.running.cancel()
        await asyncio.wait([self.running])
