"""Calls to the worker that holds a session."""

import asyncio
import time

import grpc
from google.protobuf.message import DecodeError

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import BusUnavailable, NobodyThere
from visavis_token import grpc_errors, ids
from visavis_token.grpc_errors import ApiError
from visavis_token.records import TAKES_NO_CALLS, RecordStore

TRY_S = 2.0
BUDGET_S = 3.0
PAUSE_S = 0.1
HURRY_S = 1.0

logger = log.get(__name__)


class Holder:
    """Finds the holder by its subject; there is at most one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._records = RecordStore(bus)

    async def say(
        self, session_id: str, text: str, request_id: str, *, uninterruptible: bool = False
    ) -> int:
        """Have a text spoken; returns its turn. The same request id gives the same turn.

        Raises, like all calls, ApiError: NOT_FOUND, FAILED_PRECONDITION, UNAVAILABLE after 3 s
        without a holder.
        """
        # One id for all tries: a try whose reply got lost must not be spoken twice.
        call = pipeline.SayCall(
            request_id=request_id or ids.new_ulid(), text=text, uninterruptible=uninterruptible
        )
        return (await self._call(session_id, pipeline.ControlRequest(say=call))).turn

    async def send_text(self, session_id: str, text: str, request_id: str) -> int:
        """Have a text answered as if the person had typed it; returns its turn."""
        call = pipeline.TextCall(request_id=request_id or ids.new_ulid(), text=text)
        return (await self._call(session_id, pipeline.ControlRequest(text=call))).turn

    async def interrupt(self, session_id: str) -> pipeline.ControlReply:
        """Stop the running answer; tells which, and whether there was one."""
        call = pipeline.ControlRequest(interrupt=pipeline.InterruptCall())
        return await self._call(session_id, call)

    async def _call(self, session_id: str, call: pipeline.ControlRequest) -> pipeline.ControlReply:
        request = call.SerializeToString()
        deadline = time.monotonic() + BUDGET_S
        while True:
            if (await self._records.read(session_id)).view().state in TAKES_NO_CALLS:
                raise grpc_errors.session_over(session_id)
            left_s = max(deadline - time.monotonic(), PAUSE_S)
            try:
                reply = await self._ask(session_id, request, timeout_s=min(TRY_S, left_s))
                return _checked(reply)
            except (NobodyThere, BusUnavailable) as error:
                if time.monotonic() + PAUSE_S > deadline:
                    text = f"nobody holds session {session_id} at the moment"
                    raise grpc_errors.unavailable("NO_HOLDER", text) from error
            await asyncio.sleep(PAUSE_S)

    async def hurry(self, session_id: str, call: pipeline.ControlRequest) -> None:
        """Have the holder look at the desired state now; without it, it looks within 5 s."""
        try:
            await self._ask(session_id, call.SerializeToString(), timeout_s=HURRY_S)
        except (NobodyThere, BusUnavailable, ApiError) as error:
            logger.info("session.not_hurried", session=session_id, error=repr(error))

    async def _ask(
        self, session_id: str, request: bytes, *, timeout_s: float
    ) -> pipeline.ControlReply:
        subject = subjects.control(session_id)
        data = await self._bus.request(subject, request, timeout_s=timeout_s)
        try:
            return pipeline.ControlReply.FromString(data)
        except DecodeError as error:
            logger.error("control.malformed_reply", session=session_id)
            raise grpc_errors.internal() from error


def _checked(reply: pipeline.ControlReply) -> pipeline.ControlReply:
    if reply.HasField("error"):
        code, text = reply.error.code, reply.error.message
        if code == "UNAVAILABLE":  # the holder is handing on: its successor takes the same call
            raise BusUnavailable(text)
        raise ApiError(grpc.StatusCode.FAILED_PRECONDITION, code, text)
    return reply
