"""Every field of every request: all problems at once, each with its path."""

import math
import re
from collections.abc import Container, Iterator, Mapping

from google.protobuf.duration_pb2 import Duration

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime.subjects import MAX_TEXT_CHARACTERS
from visavis_token import grpc_errors, ids, limits, turn_taking
from visavis_token.grpc_errors import Problem

_VISIBLE = re.compile(rf"[!-~]{{1,{limits.MAX_ID_CHARS}}}")
_LANGUAGE = re.compile(limits.LANGUAGE)
_RESERVED_PREFIXES = ("agent-", "avatar-")


def check_create(request: api.CreateSessionRequest, characters: Container[str]) -> None:
    """Raises ApiError INVALID_ARGUMENT."""
    _raise_any(_create_problems(request, characters))


def check_session_id(session_id: str) -> None:
    """Raises ApiError INVALID_ARGUMENT."""
    _raise_any(_session_id_problems(session_id))


def check_list(request: api.ListSessionsRequest) -> None:
    """Raises ApiError INVALID_ARGUMENT."""
    problems = []
    if request.page_size > limits.MAX_PAGE_SIZE:
        text = f"must be at most {limits.MAX_PAGE_SIZE}"
        problems.append(Problem("page_size", "OUT_OF_RANGE", text))
    known = set(api.SessionState.values()) - {api.SESSION_STATE_UNSPECIFIED}
    for number, state in enumerate(request.states):
        if state not in known:
            problems.append(Problem(f"states[{number}]", "OUT_OF_RANGE", "is no known state"))
    _raise_any(problems)


def check_update(request: api.UpdateSessionRequest) -> list[str]:
    """The fields that change. Raises ApiError INVALID_ARGUMENT."""
    changes, known = request.changes, api.SessionChanges.DESCRIPTOR.fields_by_name
    given = [field.name for field, _ in changes.ListFields()]
    paths = list(request.update_mask.paths) or given
    problems = list(_session_id_problems(request.session_id))
    if not paths:
        problems.append(Problem("changes", "REQUIRED", "nothing is to be changed"))
    for path in paths:
        if path not in known:
            text = f"{path!r} cannot be changed: only {' and '.join(known)}"
            problems.append(Problem("update_mask", "UNKNOWN_FIELD", text))
        elif path not in given:
            problems.append(Problem(f"changes.{path}", "REQUIRED", "is in the mask but not set"))
    problems += _instructions_problems("changes.instructions", changes.instructions)
    if changes.HasField("voice"):
        problems += _voice_problems("changes.voice", changes.voice)
    problems += turn_taking.problems("changes.turn_taking", changes.turn_taking)
    problems += identity_problems("changes.participant_identity", changes.participant_identity)
    _raise_any(problems)
    return paths


def check_merged(resolved: pipeline.ResolvedCharacter) -> None:
    """What is wrong only together with the character's own. Raises ApiError INVALID_ARGUMENT."""
    _raise_any(turn_taking.order_problems("overrides.turn_taking.", resolved.turn_taking))


def check_text(request: api.SayRequest | api.SendTextRequest) -> None:
    """Raises ApiError INVALID_ARGUMENT."""
    _raise_any(
        [
            *_session_id_problems(request.session_id),
            *_required("text", request.text.strip()),
            *_too_long("text", request.text, MAX_TEXT_CHARACTERS),
            *_request_id_problems(request.request_id),
        ]
    )


def _raise_any(problems: Iterator[Problem] | list[Problem]) -> None:
    if found := list(problems):
        raise grpc_errors.invalid(found)


def _create_problems(
    request: api.CreateSessionRequest, characters: Container[str]
) -> Iterator[Problem]:
    if not request.character:
        yield from _required("character", request.character)
    elif request.character not in characters:
        yield Problem("character", "CHARACTER_UNKNOWN", "this deployment knows no such character")
    yield from _request_id_problems(request.request_id)
    yield from identity_problems("participant_identity", request.participant_identity)
    yield from _metadata_problems("metadata", request.metadata)
    yield from _override_problems("overrides", request.overrides)


def _session_id_problems(session_id: str) -> Iterator[Problem]:
    if not session_id:
        yield from _required("session_id", session_id)
    elif not ids.is_ulid(session_id):
        yield Problem("session_id", "MALFORMED", "is not a session id (26 letters of a ULID)")


def _request_id_problems(request_id: str) -> Iterator[Problem]:
    # It becomes part of a message header on the bus.
    if request_id and not _VISIBLE.fullmatch(request_id):
        text = f"must be at most {limits.MAX_ID_CHARS} visible ASCII characters, without spaces"
        yield Problem("request_id", "MALFORMED", text)


def identity_problems(field: str, identity: str) -> Iterator[Problem]:
    """What is wrong with a person's identity in the room."""
    yield from _too_long(field, identity, limits.MAX_IDENTITY_CHARS)
    lowered = identity.lower()
    if lowered.startswith(_RESERVED_PREFIXES) or "agent" in lowered:
        text = 'must not begin with "agent-" or "avatar-" nor contain "agent"'
        yield Problem(field, "RESERVED", text)
    if not identity.isprintable() or identity != identity.strip():
        text = "must be printable, without spaces at its ends"
        yield Problem(field, "MALFORMED", text)


def _metadata_problems(field: str, metadata: Mapping[str, str]) -> Iterator[Problem]:
    if len(metadata) > limits.MAX_METADATA_PAIRS:
        text = f"has {len(metadata)} pairs, at most {limits.MAX_METADATA_PAIRS} are allowed"
        yield Problem(field, "TOO_MANY", text)
        return
    for key, value in metadata.items():
        name = f"{field}[{key[: limits.MAX_METADATA_KEY_CHARS]!r}]"
        if not key:
            yield Problem(name, "REQUIRED", "the key is empty")
        if len(key) > limits.MAX_METADATA_KEY_CHARS:
            text = f"the key is longer than {limits.MAX_METADATA_KEY_CHARS} characters"
            yield Problem(name, "TOO_LONG", text)
        yield from _too_long(name, value, limits.MAX_METADATA_VALUE_CHARS)


def _override_problems(field: str, overrides: api.SessionOverrides) -> Iterator[Problem]:
    yield from _instructions_problems(f"{field}.instructions", overrides.instructions)
    yield from _too_long(f"{field}.greeting", overrides.greeting, MAX_TEXT_CHARACTERS)
    if overrides.HasField("voice"):
        yield from _voice_problems(f"{field}.voice", overrides.voice)
    if overrides.HasField("language") and not _LANGUAGE.fullmatch(overrides.language):
        yield Problem(f"{field}.language", "MALFORMED", "is not a BCP 47 language such as en-US")
    if overrides.avatar_fallback not in api.AvatarFallback.values():
        yield Problem(f"{field}.avatar_fallback", "OUT_OF_RANGE", "is no known choice")
    yield from turn_taking.problems(f"{field}.turn_taking", overrides.turn_taking)
    yield from _number_problems(field, overrides)


def _instructions_problems(field: str, instructions: str) -> Iterator[Problem]:
    size = len(instructions.encode())
    if size > limits.MAX_INSTRUCTIONS_BYTES:
        text = f"has {size} bytes, at most {limits.MAX_INSTRUCTIONS_BYTES} are allowed"
        yield Problem(field, "TOO_LONG", text)


def _voice_problems(field: str, voice: str) -> Iterator[Problem]:
    yield from _too_long(field, voice, limits.MAX_VOICE_CHARS)
    if not voice.strip() or not voice.isprintable():
        yield Problem(field, "MALFORMED", "must be a printable name")


def _number_problems(field: str, overrides: api.SessionOverrides) -> Iterator[Problem]:
    if overrides.HasField("max_duration"):
        yield from _seconds_problems(f"{field}.max_duration", overrides.max_duration, least=1)
    if overrides.HasField("max_silence"):
        yield from _seconds_problems(f"{field}.max_silence", overrides.max_silence, least=0)
    temperature = overrides.temperature
    if not math.isfinite(temperature) or not 0 <= temperature <= limits.MAX_TEMPERATURE:
        text = f"must be 0 to {limits.MAX_TEMPERATURE:g}"
        yield Problem(f"{field}.temperature", "OUT_OF_RANGE", text)
    if overrides.HasField("max_output_tokens") and not (
        1 <= overrides.max_output_tokens <= limits.MAX_OUTPUT_TOKENS
    ):
        text = f"must be 1 to {limits.MAX_OUTPUT_TOKENS}"
        yield Problem(f"{field}.max_output_tokens", "OUT_OF_RANGE", text)


def _seconds_problems(field: str, duration: Duration, *, least: int) -> Iterator[Problem]:
    seconds = duration.seconds + duration.nanos / 1e9
    if not least <= seconds <= limits.MAX_DURATION_S:
        text = f"must be {least} to {limits.MAX_DURATION_S} seconds"
        yield Problem(field, "OUT_OF_RANGE", text)


def _required(field: str, text: str) -> Iterator[Problem]:
    if not text:
        yield Problem(field, "REQUIRED", "is required")


def _too_long(field: str, text: str, most: int) -> Iterator[Problem]:
    if len(text) > most:
        text = f"has {len(text)} characters, at most {most} are allowed"
        yield Problem(field, "TOO_LONG", text)
