"""The gRPC surface: who calls, is it well formed, hand it on, answer or explain."""

import asyncio
import time
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from typing import Any

import grpc

from visavis.session.v1 import session_pb2 as api
from visavis.session.v1.session_pb2_grpc import SessionServiceServicer
from visavis_runtime import log
from visavis_runtime.bus import Bus
from visavis_token import grpc_errors, telemetry, validation
from visavis_token.api_keys import ApiKeys
from visavis_token.characters import Character
from visavis_token.holder import Holder
from visavis_token.listing import Listing
from visavis_token.ports import RoomTokens
from visavis_token.sessions import Sessions
from visavis_token.watch import Watch

logger = log.get(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class SessionService(SessionServiceServicer):
    """See proto/visavis/session/v1/session.proto."""

    def __init__(
        self,
        bus: Bus,
        *,
        keys: ApiKeys,
        characters: dict[str, Character],
        tokens: RoomTokens,
        livekit_url: str,
        operators: Container[str] = (),
    ) -> None:
        self.stopping = asyncio.Event()
        self._bus, self._keys, self._characters = bus, keys, characters
        self._tokens, self._livekit_url = tokens, livekit_url
        self._holder = Holder(bus)
        self._operators = operators
        self._sessions = Sessions(bus, characters, self._holder)
        self._listing = Listing(bus)

    async def CreateSession(  # noqa: N802 - the names of the contract
        self, request: api.CreateSessionRequest, context: Context
    ) -> api.CreateSessionResponse:
        async with self._call("CreateSession", context) as key_id:
            began = time.monotonic()
            validation.check_create(request, self._characters)
            session = await self._sessions.create(request, key_id)
            token = self._tokens.mint(session.room, session.participant_identity)
            response = api.CreateSessionResponse(
                session=session, livekit_url=self._livekit_url, participant_token=token.text
            )
            response.token_expire_time.FromDatetime(token.expires)
            telemetry.CREATE_SECONDS.observe(time.monotonic() - began)
            logger.info("session.created", session=session.session_id, key=key_id)
            return response

    async def GetSession(  # noqa: N802
        self, request: api.GetSessionRequest, context: Context
    ) -> api.GetSessionResponse:
        async with self._call("GetSession", context):
            validation.check_session_id(request.session_id)
            return api.GetSessionResponse(session=await self._sessions.get(request.session_id))

    async def ListSessions(  # noqa: N802
        self, request: api.ListSessionsRequest, context: Context
    ) -> api.ListSessionsResponse:
        async with self._call("ListSessions", context):
            validation.check_list(request)
            return await self._listing.page(request)

    async def EndSession(  # noqa: N802
        self, request: api.EndSessionRequest, context: Context
    ) -> api.EndSessionResponse:
        async with self._call("EndSession", context) as key_id:
            validation.check_session_id(request.session_id)
            is_operator = key_id in self._operators
            reason = api.END_REASON_ADMIN if is_operator else api.END_REASON_API
            session = await self._sessions.end(request.session_id, reason)
            logger.info("session.end_asked", session=session.session_id, key=key_id)
            return api.EndSessionResponse(session=session)

    async def WatchSession(  # noqa: N802
        self, request: api.WatchSessionRequest, context: Context
    ) -> AsyncIterator[api.WatchSessionResponse]:
        async with self._call("WatchSession", context):
            validation.check_session_id(request.session_id)
            watch = Watch(self._bus, request.session_id, request.cursor)
            with telemetry.WATCHERS.track_inprogress():
                async for response in watch.events(self.stopping):
                    yield response

    async def Say(  # noqa: N802
        self, request: api.SayRequest, context: Context
    ) -> api.SayResponse:
        async with self._call("Say", context):
            validation.check_text(request)
            turn = await self._holder.say(
                request.session_id,
                request.text,
                request.request_id,
                uninterruptible=request.uninterruptible,
            )
            return api.SayResponse(turn=turn)

    async def SendText(  # noqa: N802
        self, request: api.SendTextRequest, context: Context
    ) -> api.SendTextResponse:
        async with self._call("SendText", context):
            validation.check_text(request)
            sid, text = request.session_id, request.text
            turn = await self._holder.send_text(sid, text, request.request_id)
            return api.SendTextResponse(turn=turn)

    async def Interrupt(  # noqa: N802
        self, request: api.InterruptRequest, context: Context
    ) -> api.InterruptResponse:
        async with self._call("Interrupt", context):
            validation.check_session_id(request.session_id)
            reply = await self._holder.interrupt(request.session_id)
            return api.InterruptResponse(turn=reply.turn, interrupted=reply.interrupted)

    async def UpdateSession(  # noqa: N802
        self, request: api.UpdateSessionRequest, context: Context
    ) -> api.UpdateSessionResponse:
        async with self._call("UpdateSession", context) as key_id:
            paths = validation.check_update(request)
            session = await self._sessions.update(request.session_id, request.changes, paths)
            logger.info("session.updated", session=session.session_id, key=key_id, fields=paths)
            return api.UpdateSessionResponse(session=session)

    async def CreateParticipantToken(  # noqa: N802
        self, request: api.CreateParticipantTokenRequest, context: Context
    ) -> api.CreateParticipantTokenResponse:
        async with self._call("CreateParticipantToken", context):
            validation.check_session_id(request.session_id)
            session = await self._sessions.live(request.session_id)
            token = self._tokens.mint(session.room, session.participant_identity)
            response = api.CreateParticipantTokenResponse(
                livekit_url=self._livekit_url, participant_token=token.text
            )
            response.token_expire_time.FromDatetime(token.expires)
            return response

    @asynccontextmanager
    async def _call(self, method: str, context: Context) -> AsyncIterator[str]:
        """What every call has in common: the key's id, errors in the API's form, the count."""
        code = grpc.StatusCode.CANCELLED
        try:
            yield self._key_id(context)
            code = grpc.StatusCode.OK
        except Exception as error:
            answer = grpc_errors.as_api_error(error, method)
            code = answer.code
            logger.info("call.refused", method=method, code=code.name, reason=answer.reason)
            status = answer.status()
            await context.abort(status.code, status.details, status.trailing_metadata)
        finally:
            telemetry.CALLS_TOTAL.labels(method, code.name).inc()

    def _key_id(self, context: Context) -> str:
        for name, value in context.invocation_metadata() or ():
            if name == "authorization" and (key_id := self._keys.bearer(str(value))):
                return key_id
        raise grpc_errors.unauthenticated()
