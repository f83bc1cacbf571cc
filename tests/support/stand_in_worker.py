"""What an egress worker does on the bus as far as the session API sees it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects
from visavis_runtime.bus import Bus, Entry, Message, WorkItem
from visavis_runtime.errors import WrongRevision

AVATAR = api.Avatar(provider="none", mode="audio_only")


@dataclass
class StandInWorker:
    """Takes sessions and answers calls. `mute_for`: how many calls it answers too late."""

    bus: Bus
    asked: list[pipeline.ControlRequest] = field(default_factory=list)
    turns: dict[str, int] = field(default_factory=dict)
    mute_for: int = 0
    leases: list[WorkItem] = field(default_factory=list)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Take every session that is offered."""
        stopping = asyncio.Event()
        working = asyncio.create_task(self._take_sessions(stopping))
        try:
            yield
        finally:
            stopping.set()
            await working

    async def _take_sessions(self, stopping: asyncio.Event) -> None:
        queue = await self.bus.work(subjects.JOBS, "egress")
        while not stopping.is_set():
            item = await queue.fetch(timeout_s=0.2)
            if item is None:
                continue
            session_id = pipeline.EgressJob.FromString(item.data).session_id
            if await self._decide(session_id):
                self.leases.append(item)
            else:
                await item.ack()
        for lease in self.leases:
            await lease.nak()
        await queue.aclose()

    async def _decide(self, session_id: str) -> bool:
        """True when the session is ours now; whoever loses the compare-and-set reads again."""
        while True:
            entry = await self.bus.read(f"{session_id}.status")
            assert entry
            state = pipeline.SessionStatus.FromString(entry.value).state
            if state != api.SESSION_STATE_CREATING:
                return False
            with suppress(WrongRevision):
                await self.change(session_id, api.SESSION_STATE_ACTIVE, entry)
                return True

    async def change(
        self, session_id: str, state: api.SessionState.ValueType, entry: Entry | None = None
    ) -> None:
        """Write the status, as the holder."""
        entry = entry or await self.bus.read(f"{session_id}.status")
        assert entry
        status = pipeline.SessionStatus(state=state, avatar=AVATAR)
        if state == api.SESSION_STATE_ENDED:
            status.end_reason = api.END_REASON_API
        key = f"{session_id}.status"
        await self.bus.update(key, status.SerializeToString(), entry.revision)

    async def answer(self, message: Message) -> bytes:
        """One request of `vv.control`: a turn for each new request id."""
        request = pipeline.ControlRequest.FromString(message.data)
        self.asked.append(request)
        if self.mute_for:
            self.mute_for -= 1
            await asyncio.sleep(5)
        if request.HasField("interrupt"):
            running = max(self.turns.values(), default=0)
            reply = pipeline.ControlReply(turn=running, interrupted=bool(running))
            return reply.SerializeToString()
        call = request.text if request.HasField("text") else request.say
        turn = self.turns.setdefault(call.request_id, len(self.turns) + 1)
        if call.text == "refuse":
            error = pipeline.StageError(code="TOO_MANY_TURNS", message="enough")
            return pipeline.ControlReply(error=error).SerializeToString()
        return pipeline.ControlReply(turn=turn).SerializeToString()

    async def tell(self, session_id: str, kind: str, record: pipeline.EventRecord) -> int:
        """Write an event; its cursor."""
        stored = await self.bus.store(subjects.event(kind, session_id), record.SerializeToString())
        return stored.sequence
