"""The events of a session: the stream is the truth, the core subscription only the doorbell."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, Message, Stored
from visavis_token import grpc_errors
from visavis_token.records import TELLS_NO_MORE, RecordStore

# After a ring the event may not be stored yet (three replicas: some milliseconds), so the next
# looks come soon; then one every second, should a ring get lost.
_LOOKS_S = (0.02, 0.06, 0.2, 1.0)

logger = log.get(__name__)


class Watch:
    """One reader of one session's events."""

    def __init__(self, bus: Bus, session_id: str, cursor: int) -> None:
        self._bus, self._session_id = bus, session_id
        self._records = RecordStore(bus)
        self._cursor = cursor
        self._bell = asyncio.Event()

    async def events(self, stopping: asyncio.Event) -> AsyncIterator[api.WatchSessionResponse]:
        """Events after the cursor, until the session is over.

        Raises ApiError: NOT_FOUND; UNAVAILABLE when `stopping` is set (go on at another replica).
        """
        await self._records.read(self._session_id)
        subject = subjects.event("*", self._session_id)
        doorbell = await self._bus.subscribe(subject, self._ring)
        try:
            while True:
                async for response in self._follow():
                    yield response
                    if _is_end(response.event):
                        return
                if await self._is_over():
                    return
                if stopping.is_set():
                    text = "this server is stopping; go on with the last cursor"
                    raise grpc_errors.unavailable("SERVER_STOPPING", text, 0.2)
        finally:
            await doorbell.aclose()

    async def _follow(self) -> AsyncIterator[api.WatchSessionResponse]:
        """What is stored now and what rings later; ends after a second of quiet."""
        looks = iter(_LOOKS_S)
        while True:
            self._bell.clear()
            for response in await self._look():
                looks = iter(_LOOKS_S)
                yield response
            pause_s = next(looks, None)
            if pause_s is None:
                return
            if await self._rings_within(pause_s):
                looks = iter(_LOOKS_S)

    async def _look(self) -> list[api.WatchSessionResponse]:
        found = []
        subject = subjects.event("*", self._session_id)
        async for stored in self._bus.replay(subjects.EVENTS, subject, self._cursor + 1):
            self._cursor = stored.sequence
            if response := _public(stored):
                found.append(response)
        return found

    async def _is_over(self) -> bool:
        """True when nothing more can come: rejected, or the cursor was at the end already."""
        status, _ = await self._records.status(self._session_id)
        # A replica that lags may not have shown the end yet; it has a second of quiet behind it.
        return status.state in TELLS_NO_MORE

    def _ring(self, _: Message) -> None:
        self._bell.set()

    async def _rings_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return False
        return True


def _public(stored: Stored) -> api.WatchSessionResponse | None:
    """The API's form of a record; None for the holder's own bookkeeping."""
    try:
        record = pipeline.EventRecord.FromString(stored.data)
    except DecodeError:
        logger.error("event.malformed", subject=stored.subject, sequence=stored.sequence)
        return None
    if record.WhichOneof("fact") != "event":
        return None
    response = api.WatchSessionResponse(event=record.event, cursor=stored.sequence)
    response.time.FromNanoseconds(int(stored.time_s * 1e9))
    return response


def _is_end(event: api.SessionEvent) -> bool:
    return event.session.step == api.SessionChanged.STEP_ENDED
