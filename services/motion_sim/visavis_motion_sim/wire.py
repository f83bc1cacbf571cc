"""The vendor's WebSocket messages: bytes to plain values and back.

The protobuf classes come with the vendor's SDK; this is the only file that imports them.
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from spatius.proto.generated import message_pb2

# The generated module carries no type information.
pb: Any = message_pb2

# Codes the SDK maps by number (spatius 1.1.1, avatar_session._classify_error_code).
INVALID_ARGUMENT = 3
UNAVAILABLE = 14
UNAUTHENTICATED = 16
CREDITS_EXHAUSTED = 4001
DURATION_EXCEEDED = 4002
# The SDK recognises these by their text only; the numbers are this stand-in's own.
NOT_FOUND = 5
DEADLINE_EXCEEDED = 4
SESSION_DENIED = 7
UNIMPLEMENTED = 12

# Rates the vendor documents for PCM input, Hz.
PCM_RATES_HZ = (8000, 16000, 22050, 24000, 32000, 44100, 48000)


class WireError(Exception):
    """A client message that cannot be served; becomes a ServerError with this code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Egress:
    """Where to publish: a LiveKit room, the token to join it with, whom to report to."""

    url: str
    api_token: str
    room_name: str
    publisher_id: str
    agent_identity: str
    idle_timeout_s: int


@dataclass(frozen=True, slots=True)
class Configure:
    """First message of a connection. Audio is mono s16le; no egress means relay."""

    sample_rate_hz: int
    egress: Egress | None


@dataclass(frozen=True, slots=True)
class AudioInput:
    """PCM of one request; `end` closes the request."""

    req_id: str
    audio: bytes
    end: bool


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop everything up to and including this request."""

    req_id: str


ClientMessage = Configure | AudioInput | Interrupt


def decode(raw: bytes) -> ClientMessage:
    """Parse one client message. Raises WireError for anything a client must not send."""
    message: Any = pb.Message()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise WireError(INVALID_ARGUMENT, "failed to unmarshal initial message") from error
    if message.type == pb.MESSAGE_CLIENT_CONFIGURE_SESSION:
        return _configure(message.client_configure_session)
    if message.type == pb.MESSAGE_CLIENT_AUDIO_INPUT:
        return _audio(message.client_audio_input)
    if message.type == pb.MESSAGE_CLIENT_INTERRUPT:
        return Interrupt(message.client_interrupt.req_id)
    raise WireError(INVALID_ARGUMENT, f"unexpected message type {message.type}")


def _audio(data: Any) -> AudioInput:
    if not data.req_id:
        raise WireError(INVALID_ARGUMENT, "audio input without req_id")
    if len(data.audio) % 2:
        raise WireError(INVALID_ARGUMENT, "audio input is not 16-bit aligned")
    return AudioInput(data.req_id, data.audio, data.end)


def _configure(data: Any) -> Configure:
    if data.audio_format != pb.AUDIO_FORMAT_PCM_S16LE:
        raise WireError(INVALID_ARGUMENT, "invalid argument: audio format ogg_opus")
    if data.sample_rate not in PCM_RATES_HZ:
        raise WireError(NOT_FOUND, f"unsupported sample rate {data.sample_rate}")
    if data.egress_type == pb.EGRESS_TYPE_UNSPECIFIED:
        return Configure(data.sample_rate, None)
    if data.egress_type != pb.EGRESS_TYPE_LIVEKIT:
        raise WireError(INVALID_ARGUMENT, "agora_egress is not available")
    return Configure(data.sample_rate, _egress(data.livekit_egress))


def _egress(data: Any) -> Egress:
    if not data.api_token:
        raise WireError(INVALID_ARGUMENT, "missing livekit credentials: provide api_token")
    for name in ("url", "room_name", "publisher_id"):
        if not getattr(data, name):
            raise WireError(INVALID_ARGUMENT, f"livekit_egress.{name} is required")
    if data.idle_timeout < 0:
        raise WireError(INVALID_ARGUMENT, "livekit_egress.idle_timeout must not be negative")
    return Egress(
        url=data.url,
        api_token=data.api_token,
        room_name=data.room_name,
        publisher_id=data.publisher_id,
        agent_identity=data.extra_attributes.get("livekit_agent_identity", ""),
        idle_timeout_s=data.idle_timeout,
    )


def confirm(connection_id: str) -> bytes:
    """The handshake's good answer."""
    message: Any = pb.Message(type=pb.MESSAGE_SERVER_CONFIRM_SESSION)
    message.server_confirm_session.connection_id = connection_id
    return bytes(message.SerializeToString())


def error(code: int, text: str, *, connection_id: str = "", req_id: str = "") -> bytes:
    """A ServerError, in the handshake or later."""
    message: Any = pb.Message(type=pb.MESSAGE_SERVER_ERROR)
    message.server_error.connection_id = connection_id
    message.server_error.req_id = req_id
    message.server_error.code = code
    message.server_error.message = text
    return bytes(message.SerializeToString())
