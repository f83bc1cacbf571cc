"""Turn taking in character files, overrides and updates: what is set, what is merged, limits."""

import math
from pathlib import Path

import pytest
import yaml
from google.protobuf.duration_pb2 import Duration

from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation.config import PROFILES
from visavis_egress.turn_taking import turn_taking as egress_reads
from visavis_token import turn_taking, validation
from visavis_token.characters import CharacterError, load, resolve
from visavis_token.grpc_errors import ApiError
from visavis_token.ids import new_ulid

SID = new_ulid()
GOOD = {
    "id": "test",
    "voice": "heart",
    "language": "en",
    "instructions": "Be brief.",
    "phrases": {"apology": "Sorry."},
}
SPANS = {
    "dip": (0.06, 0.2),
    "min_delay": (0.1, 5.0),
    "mid_delay": (0.1, 5.0),
    "max_delay": (0.1, 5.0),
    "interrupt_after": (0.1, 5.0),
    "interrupt_thinking_after": (0.1, 5.0),
    "nudge_after": (0.0, 3600.0),
}


def _s(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _character(folder: Path, **block: object) -> turn_taking.TurnTaking:
    content = yaml.safe_dump(GOOD | ({"turn_taking": block} if block else {}))
    (folder / "test.yaml").write_text(content)
    return load(folder)["test"].turn_taking


# Character files


def test_without_a_block_it_is_the_default_profile_and_nothing_more(tmp_path: Path) -> None:
    message = _character(tmp_path).message()
    assert message == api.TurnTaking(profile=api.TurnTaking.PROFILE_BALANCED)
    assert turn_taking.profile_of(api.TurnTaking()) == "balanced"
    plain = load(tmp_path)["test"]
    assert not resolve(plain, api.SessionOverrides()).HasField("turn_taking")
    chosen = resolve(plain, api.SessionOverrides(turn_taking=api.TurnTaking(speculation=False)))
    assert chosen.turn_taking.profile == api.TurnTaking.PROFILE_BALANCED


@pytest.mark.parametrize("profile", ["quick", "balanced", "patient", "manual"])
def test_every_profile_means_to_egress_what_it_is_called(tmp_path: Path, profile: str) -> None:
    message = _character(tmp_path, profile=profile).message()
    assert egress_reads(message) == PROFILES[profile]
    assert turn_taking.profile_of(message) == profile


def test_every_number_of_the_contract_can_be_set(tmp_path: Path) -> None:
    block = {f"{name}_s": most for name, (_, most) in SPANS.items()} | {
        "profile": "quick",
        "interrupt_words": 10,
        "interrupt_thinking_words": 0,
        "interruptible": False,
        "speculation": False,
    }
    message = _character(tmp_path, **block).message()
    unset = {field.name for field in api.TurnTaking.DESCRIPTOR.fields} - {
        field.name for field, _ in message.ListFields()
    }
    assert unset == set()
    assert message.dip == _s(0.2)
    assert message.HasField("interrupt_thinking_words")
    assert (message.interrupt_words, message.interrupt_thinking_words) == (10, 0)
    assert not message.interruptible
    assert egress_reads(message).nudge_after_s == 3600
    assert _character(tmp_path, dip_s=0.06).message().dip.nanos == 60_000_000


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"profile": "hasty"}, "turn_taking.profile: "),
        ({"delay_s": 1}, "turn_taking.delay_s: "),
        ({"interrupt_words": 11}, "turn_taking.interrupt_words: "),
        ({"interrupt_thinking_words": -1}, "turn_taking.interrupt_thinking_words: "),
        ({"nudge_after_s": math.nan}, "turn_taking.nudge_after_s: "),
        ({"min_delay_s": 2, "mid_delay_s": 1}, "turn_taking: Value error, mid_delay_s is 1 s"),
        ({"min_delay_s": 2, "max_delay_s": 1}, "turn_taking: Value error, max_delay_s is 1 s"),
        *[({f"{name}_s": SPANS[name][1] * 1.01}, f"turn_taking.{name}_s: ") for name in SPANS],
        *[({f"{name}_s": SPANS[name][0] - 0.01}, f"turn_taking.{name}_s: ") for name in SPANS],
    ],
)  # fmt: skip
def test_a_wrong_block_stops_the_start(
    tmp_path: Path, block: dict[str, object], named: str
) -> None:
    with pytest.raises(CharacterError) as caught:
        _character(tmp_path, **block)
    assert str(caught.value).startswith(f"test.yaml: {named}")


# Overrides


def test_a_session_changes_field_by_field(tmp_path: Path) -> None:
    _character(tmp_path, profile="patient", min_delay_s=2, max_delay_s=3, interrupt_words=2)
    overrides = api.SessionOverrides()
    overrides.turn_taking.min_delay.CopyFrom(_s(0.5))
    overrides.turn_taking.interrupt_words = 0
    overrides.turn_taking.interruptible = False
    resolved = resolve(load(tmp_path)["test"], overrides)
    assert resolved.turn_taking == api.TurnTaking(
        profile=api.TurnTaking.PROFILE_PATIENT,
        min_delay=_s(0.5),
        max_delay=_s(3),
        interrupt_words=0,
        interruptible=False,
    )
    overrides = api.SessionOverrides()
    overrides.turn_taking.profile = api.TurnTaking.PROFILE_MANUAL
    assert resolve(load(tmp_path)["test"], overrides).turn_taking == api.TurnTaking(
        profile=api.TurnTaking.PROFILE_MANUAL, min_delay=_s(2), max_delay=_s(3), interrupt_words=2
    )


def test_what_is_out_of_order_only_with_the_characters_own_is_named(tmp_path: Path) -> None:
    _character(tmp_path, mid_delay_s=1)
    overrides = api.SessionOverrides()
    overrides.turn_taking.min_delay.CopyFrom(_s(2))
    validation.check_create(api.CreateSessionRequest(character="t", overrides=overrides), {"t"})
    with pytest.raises(ApiError) as caught:
        validation.check_merged(resolve(load(tmp_path)["test"], overrides))
    assert _fields(caught.value) == {"overrides.turn_taking.mid_delay": "OUT_OF_ORDER"}
    # A profile's own delay is not meant to stop anybody.
    validation.check_merged(resolve(load(tmp_path)["test"], api.SessionOverrides()))


def _fields(error: ApiError) -> dict[str, str]:
    return {found.field: found.reason for found in error.details[1].field_violations}  # type: ignore[attr-defined]


def _problems(wanted: api.TurnTaking) -> dict[str, str]:
    """What CreateSession says; UpdateSession must say the same of the same."""
    overrides = api.SessionOverrides(turn_taking=wanted)
    create = api.CreateSessionRequest(character="t", overrides=overrides)
    update = api.UpdateSessionRequest(session_id=SID)
    update.changes.turn_taking.CopyFrom(wanted)
    found: list[dict[str, str]] = []
    for check in (lambda: validation.check_create(create, {"t"}),
                  lambda: validation.check_update(update)):  # fmt: skip
        try:
            check()
            found.append({})
        except ApiError as error:
            found.append(_fields(error))
    first, second = found
    prefix = "overrides.turn_taking."
    assert {name.removeprefix(prefix) for name in first} == {
        name.removeprefix("changes.turn_taking.") for name in second
    }
    return {name.removeprefix(prefix): reason for name, reason in first.items()}


@pytest.mark.parametrize("name", SPANS)
def test_times_have_limits(name: str) -> None:
    for seconds in SPANS[name]:
        assert _problems(api.TurnTaking(**{name: _s(seconds)})) == {}  # type: ignore[arg-type]
    least, most = SPANS[name]
    for seconds in (least - 0.001, most + 0.001, -1.0, 1e9):
        wrong = api.TurnTaking(**{name: _s(seconds)})  # type: ignore[arg-type]
        assert _problems(wrong) == {name: "OUT_OF_RANGE"}


def test_numbers_of_words_and_profiles_have_limits() -> None:
    fine = api.TurnTaking(interrupt_words=10, interrupt_thinking_words=0)
    fine.profile = api.TurnTaking.PROFILE_MANUAL
    assert _problems(fine) == {}
    wrong = api.TurnTaking(interrupt_words=11, interrupt_thinking_words=2**32 - 1, profile=9)  # type: ignore[arg-type]
    assert _problems(wrong) == dict.fromkeys(
        ("interrupt_words", "interrupt_thinking_words", "profile"), "OUT_OF_RANGE"
    )


def test_delays_have_an_order() -> None:
    ordered = api.TurnTaking(min_delay=_s(1), mid_delay=_s(1), max_delay=_s(1))
    assert _problems(ordered) == {}
    assert _problems(api.TurnTaking(min_delay=_s(2), max_delay=_s(1))) == {
        "max_delay": "OUT_OF_ORDER"
    }
    assert _problems(api.TurnTaking(min_delay=_s(2), mid_delay=_s(1), max_delay=_s(1.5))) == {
        "mid_delay": "OUT_OF_ORDER",
        "max_delay": "OUT_OF_ORDER",
    }
