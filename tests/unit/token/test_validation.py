"""Every field of every request, with the field's name in the error."""

import math

import pytest
from google.protobuf.duration_pb2 import Duration

from visavis.session.v1 import session_pb2 as api
from visavis_token import validation
from visavis_token.grpc_errors import ApiError
from visavis_token.ids import new_ulid

SID = new_ulid()


def _problems(request: api.CreateSessionRequest) -> dict[str, str]:
    """Field -> reason of each problem; empty when the request is fine."""
    try:
        validation.check_create(request, {"nova"})
    except ApiError as error:
        return {found.field: found.reason for found in error.details[1].field_violations}  # type: ignore[attr-defined]
    return {}


def _override(**values: object) -> dict[str, str]:
    overrides = api.SessionOverrides(**values)  # type: ignore[arg-type]
    return _problems(api.CreateSessionRequest(character="nova", overrides=overrides))


def test_everything_at_its_limit_is_fine() -> None:
    overrides = api.SessionOverrides(
        instructions="é" * 16_000,
        voice="v" * 64,
        greeting="é" * 2_000,
        language="zh-Hans-CN",
        avatar_fallback=api.AVATAR_FALLBACK_END,
        max_duration=Duration(seconds=86_400),
        temperature=2,
        max_output_tokens=1_000,
    )
    request = api.CreateSessionRequest(
        character="nova",
        request_id="~" * 128,
        participant_identity="p" * 64,
        overrides=overrides,
        metadata={f"{number:064}": "v" * 256 for number in range(16)},
    )
    assert _problems(request) == {}


def test_an_empty_greeting_and_empty_instructions_are_wishes_and_not_gaps() -> None:
    assert _override(greeting="", instructions="") == {}


def test_all_problems_of_a_request_come_at_once() -> None:
    request = api.CreateSessionRequest(
        request_id="with space",
        participant_identity="agent-1",
        overrides=api.SessionOverrides(temperature=3),
        metadata={"": "x"},
    )
    assert _problems(request) == {
        "character": "REQUIRED",
        "request_id": "MALFORMED",
        "participant_identity": "RESERVED",
        "metadata['']": "REQUIRED",
        "overrides.temperature": "OUT_OF_RANGE",
    }


def test_an_unknown_character_is_named_as_such() -> None:
    assert _problems(api.CreateSessionRequest(character="x")) == {"character": "CHARACTER_UNKNOWN"}


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"instructions": "é" * 16_001}, "instructions", "TOO_LONG"),
        ({"greeting": "x" * 2_001}, "greeting", "TOO_LONG"),
        ({"voice": ""}, "voice", "MALFORMED"),
        ({"voice": "v" * 65}, "voice", "TOO_LONG"),
        ({"language": "english please"}, "language", "MALFORMED"),
        ({"language": ""}, "language", "MALFORMED"),
        ({"avatar_fallback": 99}, "avatar_fallback", "OUT_OF_RANGE"),
        ({"max_duration": Duration(seconds=86_401)}, "max_duration", "OUT_OF_RANGE"),
        ({"max_duration": Duration(seconds=-5)}, "max_duration", "OUT_OF_RANGE"),
        ({"max_duration": Duration()}, "max_duration", "OUT_OF_RANGE"),
        ({"temperature": -0.1}, "temperature", "OUT_OF_RANGE"),
        ({"temperature": math.nan}, "temperature", "OUT_OF_RANGE"),
        ({"max_output_tokens": 0}, "max_output_tokens", "OUT_OF_RANGE"),
        ({"max_output_tokens": 1_001}, "max_output_tokens", "OUT_OF_RANGE"),
    ],
)
def test_a_wrong_override_is_refused(values: dict[str, object], field: str, reason: str) -> None:
    assert _override(**values) == {f"overrides.{field}": reason}


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ("p" * 65, "TOO_LONG"),
        ("agent-007", "RESERVED"),
        ("Avatar-1", "RESERVED"),
        ("my-Agent", "RESERVED"),
        ("two\nlines", "MALFORMED"),
        (" padded", "MALFORMED"),
    ],
)
def test_identities_that_could_pass_for_ours_are_refused(identity: str, reason: str) -> None:
    request = api.CreateSessionRequest(character="nova", participant_identity=identity)
    assert _problems(request) == {"participant_identity": reason}


def test_too_much_metadata_is_refused() -> None:
    many = {str(number): "" for number in range(17)}
    request = api.CreateSessionRequest(character="nova", metadata=many)
    assert _problems(request) == {"metadata": "TOO_MANY"}
    request = api.CreateSessionRequest(character="nova", metadata={"key": "v" * 257})
    assert _problems(request) == {"metadata['key']": "TOO_LONG"}


@pytest.mark.parametrize("session_id", ["", "*", ">", "a.b", SID.lower(), SID + "0", SID[:-1]])
def test_what_is_no_session_id_never_reaches_a_subject(session_id: str) -> None:
    with pytest.raises(ApiError, match="session_id"):
        validation.check_session_id(session_id)


@pytest.mark.parametrize("text", ["", "  ", "x" * 2_001])
def test_a_say_needs_a_text_of_bearable_length(text: str) -> None:
    with pytest.raises(ApiError, match="text"):
        validation.check_text(api.SayRequest(session_id=SID, text=text))
    validation.check_text(api.SayRequest(session_id=SID, text="x" * 2_000))


@pytest.mark.parametrize(
    ("seconds", "is_fine"), [(0, True), (86_400, True), (86_401, False), (-1, False)]
)
def test_silence_has_limits_and_may_be_unlimited(seconds: int, is_fine: bool) -> None:
    expected = {} if is_fine else {"overrides.max_silence": "OUT_OF_RANGE"}
    assert _override(max_silence=Duration(seconds=seconds)) == expected
