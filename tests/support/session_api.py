"""The session API from the caller's side: for the demo, the tests and the benchmarks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from visavis.session.v1 import session_pb2 as api
from visavis.session.v1.session_pb2_grpc import SessionServiceStub

CALL_TIMEOUT_S = 10.0


class SessionApi:
    """One connection; `secret` is the part behind the colon in VISAVIS_API_KEYS.

    Calls raise grpc.aio.AioRpcError; `refusal(error)` reads it. `stub` and `metadata`: for calls
    that need something special.
    """

    def __init__(self, address: str, secret: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self.stub = SessionServiceStub(self._channel)
        self.metadata = (("authorization", f"Bearer {secret}"),)
        self._options: dict[str, Any] = {"metadata": self.metadata, "timeout": CALL_TIMEOUT_S}

    async def __aenter__(self) -> "SessionApi":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection and all its streams."""
        await self._channel.close(None)

    async def create(
        self,
        character: str,
        *,
        request_id: str = "",
        participant_identity: str = "",
        overrides: api.SessionOverrides | None = None,
        metadata: dict[str, str] | None = None,
    ) -> api.CreateSessionResponse:
        """Open a session."""
        request = api.CreateSessionRequest(
            character=character,
            request_id=request_id,
            participant_identity=participant_identity,
            overrides=overrides,
            metadata=metadata or {},
        )
        return await self.stub.CreateSession(request, **self._options)

    async def get(self, session_id: str) -> api.Session:
        """Look at a session."""
        request = api.GetSessionRequest(session_id=session_id)
        return (await self.stub.GetSession(request, **self._options)).session

    async def end(self, session_id: str) -> api.Session:
        """Ask for its end."""
        request = api.EndSessionRequest(session_id=session_id)
        return (await self.stub.EndSession(request, **self._options)).session

    async def say(
        self, session_id: str, text: str, request_id: str = "", *, uninterruptible: bool = False
    ) -> int:
        """Have a text spoken; the number of its turn."""
        request = api.SayRequest(
            session_id=session_id,
            text=text,
            request_id=request_id,
            uninterruptible=uninterruptible,
        )
        return (await self.stub.Say(request, **self._options)).turn

    async def list(
        self,
        *states: api.SessionState.ValueType,
        page_size: int = 0,
        page_token: str = "",
    ) -> api.ListSessionsResponse:
        """One page of the sessions in these states, or in all."""
        request = api.ListSessionsRequest(states=states, page_size=page_size, page_token=page_token)
        return await self.stub.ListSessions(request, **self._options)

    async def send_text(self, session_id: str, text: str, request_id: str = "") -> int:
        """Type for the person; the number of the turn."""
        request = api.SendTextRequest(session_id=session_id, text=text, request_id=request_id)
        return (await self.stub.SendText(request, **self._options)).turn

    async def interrupt(self, session_id: str) -> api.InterruptResponse:
        """Stop the running answer."""
        request = api.InterruptRequest(session_id=session_id)
        return await self.stub.Interrupt(request, **self._options)

    async def update(
        self,
        session_id: str,
        *mask: str,
        turn_taking: api.TurnTaking | None = None,
        **changes: str,
    ) -> api.Session:
        """Change it from its next turn on; without a mask, what is given."""
        request = api.UpdateSessionRequest(
            session_id=session_id,
            changes=api.SessionChanges(turn_taking=turn_taking, **changes),
            update_mask=FieldMask(paths=mask),
        )
        return (await self.stub.UpdateSession(request, **self._options)).session

    async def rejoin(self, session_id: str) -> api.CreateParticipantTokenResponse:
        """A fresh token for the session's person."""
        request = api.CreateParticipantTokenRequest(session_id=session_id)
        return await self.stub.CreateParticipantToken(request, **self._options)

    async def watch(
        self, session_id: str, cursor: int = 0
    ) -> AsyncIterator[api.WatchSessionResponse]:
        """Events until the session is over. Leaving the loop early cancels the call."""
        request = api.WatchSessionRequest(session_id=session_id, cursor=cursor)
        call = self.stub.WatchSession(request, metadata=self.metadata)
        try:
            async for response in call:
                yield response
        finally:
            call.cancel()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the API, taken apart. `fields`: path -> stable reason of what is wrong there."""

    code: grpc.StatusCode
    text: str
    domain: str = ""
    reason: str = ""
    retry_s: float | None = None
    fields: dict[str, str] = field(default_factory=dict)


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """What the details of an error say."""
    # Only the three methods that an error has too are asked for.
    status = rpc_status.from_call(cast(grpc.Call, error))
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    again = error_details_pb2.RetryInfo()
    found: list[Message] = [
        detail
        for detail in (info, bad, again)
        for packed in (status.details if status else ())
        if packed.Unpack(detail)
    ]
    return Refusal(
        code=error.code(),
        text=error.details() or "",
        domain=info.domain,
        reason=info.reason,
        retry_s=again.retry_delay.ToNanoseconds() / 1e9 if again in found else None,
        fields={violation.field: violation.reason for violation in bad.field_violations},
    )
