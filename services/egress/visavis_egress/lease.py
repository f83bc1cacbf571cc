"""The lease of a session: the un-acked job, its renewals, and the guard that fences every write."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, Guard, Stored, WorkItem
from visavis_runtime.errors import BusError, LeaseLost

logger = log.get(__name__)

KIND = "lease"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """All waits of the lease, scaled by one number: the ack wait of the job's consumer."""

    ack_wait_s: float = 20.0

    @property
    def renew_s(self) -> float:
        """Between two renewals."""
        return self.ack_wait_s * 0.15

    @property
    def fence_s(self) -> float:
        """Without a confirmed renewal for this long, the holder stops touching the session."""
        return self.ack_wait_s * 0.65


class Lease:
    """Held from `take` until `release`, `done` or its loss."""

    def __init__(
        self, item: WorkItem, bus: Bus, instance: str, times: LeaseTimes, clock: Callable[[], float]
    ) -> None:
        self._item, self._bus, self._times, self._clock = item, bus, times, clock
        self.session_id = subjects.session_of(item.subject)
        self.instance = f"{instance}/{item.sequence}/{item.deliveries}"
        self.job_time_s = item.time_s
        self.generation = 0
        self.time_s = 0.0
        """JetStream time of our lease event."""
        self.guard = Guard("", 0)
        self._confirmed_at = clock()
        self._is_revoked = False

    @property
    def is_held(self) -> bool:
        """False as soon as a successor may exist: checked before every outgoing act."""
        is_fresh = self._clock() - self._confirmed_at < self._times.fence_s
        return is_fresh and not self._is_revoked

    def revoke(self) -> None:
        """A write was refused: there is a newer holder."""
        self._is_revoked = True

    async def take(self) -> None:
        """Write our lease event. Raises LeaseLost when somebody else gets ahead twice."""
        subject = subjects.event(KIND, self.session_id)
        for _ in range(2):
            last = await self._bus.last(subjects.EVENTS, subject, leader=True)
            if await self._try_take(subject, last):
                return
            if not self.is_held:
                break
        raise LeaseLost(f"another holder of {self.session_id} was faster")

    async def _try_take(self, subject: str, last: Stored | None) -> bool:
        self.generation = self._generation_after(last)
        record = pb.EventRecord(generation=self.generation, lease=pb.Lease(instance=self.instance))
        message_id = f"{self.session_id}/{self.generation}/lease/{self.instance}"
        guard = Guard(subject, last.sequence if last else 0)
        try:
            await self._bus.store(
                subject, record.SerializeToString(), message_id=message_id, guard=guard
            )
        except BusError as error:
            # Not a verdict: after a lost answer our own event may be the one that refuses us.
            logger.info("lease.unclear", session=self.session_id, reason=str(error))
        written = await self._bus.last(subjects.EVENTS, subject, leader=True)
        if written is None or not self._is_ours(written):
            return False
        self.guard = Guard(subject, written.sequence)
        self.time_s = written.time_s
        return True

    def _is_ours(self, written: Stored) -> bool:
        record = pb.EventRecord.FromString(written.data)
        same = record.lease.instance == self.instance and not record.lease.released
        return same and record.generation == self.generation

    @staticmethod
    def _generation_after(last: Stored | None) -> int:
        return pb.EventRecord.FromString(last.data).generation + 1 if last else 1

    async def keep(self) -> None:
        """Renew until the lease is lost; then return."""
        while True:
            await asyncio.sleep(self._times.renew_s)
            # A process that was frozen wakes up here: what has run out stays so.
            if not self.is_held:
                break
            asked_at = self._clock()
            try:
                await self._item.renew()
            except BusError as error:
                logger.warning("lease.renewal_failed", session=self.session_id, reason=str(error))
            else:
                # From the question on, not from the answer: the server's clock ran from there.
                if self.is_held:
                    self._confirmed_at = asked_at
        if not self._is_revoked:
            logger.warning("lease.ran_out", session=self.session_id, generation=self.generation)

    async def release(self, delay_s: float = 0.0) -> None:
        """Hand the session on: from here on our own guarded writes are refused too."""
        lease = pb.Lease(instance=self.instance, released=True)
        record = pb.EventRecord(generation=self.generation, lease=lease)
        await self._bus.store(
            self.guard.subject,
            record.SerializeToString(),
            message_id=f"{self.session_id}/{self.generation}/released",
            guard=self.guard,
        )
        self.revoke()
        await self._item.nak(delay_s)

    async def done(self) -> None:
        """The session is over: remove the job."""
        await self._item.ack()


def monotonic() -> float:
    """The clock of leases and conversations. Never compared between processes."""
    return time.monotonic()
