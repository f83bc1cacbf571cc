"""What an HTTP client asks a token for, in LiveKit's standard shape or in the vendor demo's.

LiveKit's, https://docs.livekit.io/frontends/build/authentication/endpoint (every field optional):
    {"room_name", "participant_identity", "participant_name", "participant_metadata",
     "room_config": {"agents": [{"agent_name": <character>}]}}
The vendor's room demo (platform-integrations/livekit-room-demo of Spatius' integration demos):
    {"room", "identity"}; the character is the deployment's default.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visavis_token import grpc_errors, limits, validation
from visavis_token.grpc_errors import Problem

CHARACTER = "room_config.agents[0].agent_name"
MAX_METADATA_CHARS = 4_096
_VENDORS = ("room", "identity")
_STANDARD = ("room_name", "participant_identity", "room_config")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """`room` is the client's own label; the room in LiveKit has the session's id as its name."""

    character: str
    room: str = ""
    identity: str = ""
    name: str = ""
    metadata: str = ""
    is_vendors: bool = False


def parse(body: object, characters: Container[str], default: str) -> TokenRequest:
    """Raises ApiError INVALID_ARGUMENT with every problem."""
    if not isinstance(body, dict):
        raise grpc_errors.invalid([Problem("body", "MALFORMED", "must be a JSON object")])
    is_vendors = any(name in body for name in _VENDORS) and not any(
        name in body for name in _STANDARD
    )
    room, identity = _VENDORS if is_vendors else _STANDARD[:2]
    problems = [
        *_text_problems(body, room, limits.MAX_ID_CHARS),
        *_text_problems(body, identity, limits.MAX_IDENTITY_CHARS),
        *_text_problems(body, "participant_name", limits.MAX_ID_CHARS),
        *_text_problems(body, "participant_metadata", MAX_METADATA_CHARS, is_line=False),
        *_attribute_problems(body),
        *_agent_problems(body),
    ]
    if not problems:
        problems += validation.identity_problems(identity, _text(body, identity))
        problems += _character_problems(_character(body) or default, characters)
    if problems:
        raise grpc_errors.invalid(problems)
    return TokenRequest(
        character=_character(body) or default,
        room=_text(body, room),
        identity=_text(body, identity),
        name=_text(body, "participant_name"),
        metadata=_text(body, "participant_metadata"),
        is_vendors=is_vendors,
    )


def _text(body: Mapping[str, Any], field: str) -> str:
    return str(body.get(field) or "")


def _text_problems(
    body: Mapping[str, Any], field: str, most: int, *, is_line: bool = True
) -> Iterator[Problem]:
    value = body.get(field)
    if value is None:
        return
    if not isinstance(value, str):
        yield Problem(field, "MALFORMED", "must be a string")
    elif len(value) > most:
        yield Problem(field, "TOO_LONG", f"has more than {most} characters")
    elif is_line and not value.isprintable():
        yield Problem(field, "MALFORMED", "must be printable")


def _attribute_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    if body.get("participant_attributes"):
        # A person who says of itself what agents and avatars say would be taken for one.
        text = "a client may not set attributes"
        yield Problem("participant_attributes", "NOT_ALLOWED", text)


def _agent_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    config = body.get("room_config")
    if config is None:
        return
    if not isinstance(config, dict):
        yield Problem("room_config", "MALFORMED", "must be an object")
        return
    agents = config.get("agents") or []
    if not isinstance(agents, list) or not all(isinstance(one, dict) for one in agents):
        yield Problem("room_config.agents", "MALFORMED", "must be a list of objects")
    elif len(agents) > 1:
        yield Problem("room_config.agents", "TOO_MANY", "a session has one character")
    elif agents and not isinstance(agents[0].get("agent_name") or "", str):
        yield Problem(CHARACTER, "MALFORMED", "must be a string")


def _character(body: Mapping[str, Any]) -> str:
    agents = (body.get("room_config") or {}).get("agents") or [{}]
    return str(agents[0].get("agent_name") or "")


def _character_problems(character: str, characters: Container[str]) -> Iterator[Problem]:
    if not character:
        yield Problem(CHARACTER, "REQUIRED", "is required: this deployment has no default")
    elif character not in characters:
        yield Problem(CHARACTER, "CHARACTER_UNKNOWN", "this deployment knows no such character")
