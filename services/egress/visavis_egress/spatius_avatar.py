"""A face by Spatius: its Motion Server publishes voice and motion into the room (LiveKit egress).

The only file of egress that imports spatius. What the SDK really does was tried (spatius 1.1.1): a
session object is good for one connection, and it must not be given audio after an interrupt.
"""

import asyncio
from dataclasses import dataclass

import spatius

from visavis_egress.avatar import OnLost
from visavis_egress.errors import AvatarRefused, AvatarTrouble, AvatarUnavailable
from visavis_runtime import log
from visavis_runtime.subjects import SPEECH_RATE_HZ

logger = log.get(__name__)

_START_S = 20.0
_CLOSE_S = 3.0
# Asking again can help with these alone; everything else is for the operator.
_PASSING = {"connectionClosed", "connectionFailed", "idleTimeout", "sessionDurationExceeded"}
_PASSING |= {"egressUnavailable", "upstreamError", "sessionTokenExpired"}


@dataclass(frozen=True, slots=True)
class Account:
    """The vendor account; endpoints are given both or neither."""

    api_key: str
    app_id: str
    region: str = "auto"
    console_endpoint: str = ""
    ingress_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the face is to appear: the room, as the vendor reaches it."""

    livekit_url: str
    token: str
    room: str
    publisher: str
    agent: str


class SpatiusAvatar:
    """See `visavis_egress.avatar.Avatar`."""

    def __init__(self, account: Account, avatar_id: str, place: Place, on_lost: OnLost) -> None:
        self._on_lost = on_lost
        self._connection_id = ""
        self._reason: AvatarTrouble | None = None
        self._is_open = False
        self._has_request = False
        self._session = spatius.new_avatar_session(
            avatar_id=avatar_id,
            api_key=account.api_key,
            app_id=account.app_id,
            region=account.region,
            sample_rate=SPEECH_RATE_HZ,
            audio_format=spatius.AudioFormat.PCM_S16LE,
            on_error=self._on_error,
            on_close=self._on_close,
            livekit_egress=spatius.LiveKitEgressConfig(
                url=place.livekit_url,
                api_token=place.token,
                room_name=place.room,
                publisher_id=place.publisher,
                extra_attributes={
                    "lk.publish_on_behalf": place.agent,
                    "livekit_agent_identity": place.agent,
                    "ai_generated": "true",
                },
            ),
            console_endpoint_url=account.console_endpoint,
            ingress_endpoint_url=account.ingress_endpoint,
        )

    async def start(self) -> str:
        try:
            async with asyncio.timeout(_START_S):
                await self._session.init()
                self._connection_id = await self._session.start()
        except spatius.AvatarSDKError as error:
            raise self._translate(error) from error
        except (TimeoutError, OSError) as error:
            raise AvatarUnavailable(AvatarTrouble("unreachable", repr(error))) from error
        except ValueError as error:  # how the SDK calls settings that it cannot use
            raise AvatarRefused(AvatarTrouble("invalidSettings", str(error))) from error
        self._is_open = True
        return self._connection_id

    async def play(self, pcm: bytes) -> None:
        self._has_request = True
        await self._send(pcm, end=False)

    async def finish(self) -> None:
        # An empty end after an interrupt would open a new request at the vendor.
        if self._has_request:
            self._has_request = False
            await self._send(b"", end=True)

    async def interrupt(self) -> None:
        self._has_request = False
        try:
            await self._session.interrupt()
        except (ValueError, spatius.AvatarSDKError) as error:
            raise self._gone(error) from error

    async def duck(self, *, is_low: bool) -> None:
        """The vendor's protocol has no volume, and what was sent cannot be changed."""

    async def aclose(self) -> None:
        self._is_open = False
        # With a dead server the close waits long; it may finish on its own.
        closing = asyncio.ensure_future(self._session.close())
        await asyncio.wait({closing}, timeout=_CLOSE_S)

    async def _send(self, pcm: bytes, *, end: bool) -> None:
        try:
            await self._session.send_audio(pcm, end=end)
        except (ValueError, spatius.AvatarSDKError) as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> AvatarUnavailable:
        return AvatarUnavailable(AvatarTrouble("connectionClosed", str(error), self._connection_id))

    def _on_error(self, error: Exception) -> None:
        trouble = self._trouble(error)
        logger.warning("avatar.error", code=trouble.code, connection_id=trouble.connection_id)
        # The vendor's own word is kept over the bare fact that the connection broke after it.
        if self._reason is None or trouble.code != "connectionClosed":
            self._reason = trouble

    def _on_close(self) -> None:
        if self._is_open:
            self._is_open = False
            closed = AvatarTrouble("connectionClosed", "", self._connection_id)
            self._on_lost(self._reason or closed)

    def _translate(self, error: spatius.AvatarSDKError) -> AvatarRefused | AvatarUnavailable:
        trouble = self._trouble(error)
        # By status before by code: the SDK names a wrong key sessionTokenExpired.
        status = error.http_status or 0
        is_busy = status >= 500 or status == 429
        is_passing = is_busy or (trouble.code in _PASSING and status not in (401, 403))
        return AvatarUnavailable(trouble) if is_passing else AvatarRefused(trouble)

    def _trouble(self, error: Exception) -> AvatarTrouble:
        code = getattr(error, "code", None)
        return AvatarTrouble(
            str(getattr(code, "value", code) or type(error).__name__),
            str(getattr(error, "message", None) or error),
            str(getattr(error, "connection_id", None) or self._connection_id),
            str(getattr(error, "req_id", None) or ""),
        )


def silence_telemetry() -> None:
    """Keep the SDK from reporting to its vendor; call it before the first session."""
    spatius.configure_telemetry("")
