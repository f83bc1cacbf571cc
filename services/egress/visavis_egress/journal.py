"""The session's writes to the event stream: guarded by the lease, one at a time, with ids."""

import asyncio

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.lease import Lease
from visavis_runtime import subjects
from visavis_runtime.bus import Bus, Receipt
from visavis_runtime.errors import LeaseLost


class Journal:
    """Appends confirmed facts. A refused write revokes the lease."""

    def __init__(self, bus: Bus, lease: Lease) -> None:
        self._bus, self._lease = bus, lease
        self._count = 0
        # On three nodes a second write in flight on the same guard is refused.
        self._one_at_a_time = asyncio.Lock()

    async def event(
        self,
        kind: str,
        event: api.SessionEvent,
        *,
        message_id: str = "",
        beside: pb.EventRecord | None = None,
    ) -> Receipt:
        """Store a fact that the API shows, `beside` it what only a successor needs.

        Raises LeaseLost, BusUnavailable.
        """
        record = pb.EventRecord(generation=self._lease.generation, event=event)
        if beside:
            record.MergeFrom(beside)
        return await self._write(kind, record, message_id)

    async def checkpoint(self, checkpoint: pb.Checkpoint) -> Receipt:
        """Store what a successor needs. Raises LeaseLost, BusUnavailable."""
        record = pb.EventRecord(generation=self._lease.generation, checkpoint=checkpoint)
        return await self._write("checkpoint", record, "")

    async def _write(self, kind: str, record: pb.EventRecord, message_id: str) -> Receipt:
        async with self._one_at_a_time:
            if not self._lease.is_held:
                raise LeaseLost(f"the lease of {self._lease.session_id} is not ours any more")
            self._count += 1
            own_id = f"{self._lease.session_id}/{self._lease.generation}/ev/{self._count}"
            try:
                return await self._bus.store(
                    subjects.event(kind, self._lease.session_id),
                    record.SerializeToString(),
                    message_id=message_id or own_id,
                    guard=self._lease.guard,
                )
            except LeaseLost:
                self._lease.revoke()
                raise
