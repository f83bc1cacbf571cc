"""When a person is done and what interrupts: a character's block, what a session changes, limits.

The profiles' values are egress' (conversation/config.py): here is only what somebody has set.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from google.protobuf.duration_pb2 import Duration
from pydantic import BaseModel, ConfigDict, Field, model_validator

from visavis.session.v1 import session_pb2 as api
from visavis_token import limits
from visavis_token.grpc_errors import Problem

DELAYS = ("min_delay", "mid_delay", "max_delay")
_RANGES_S = {
    "dip": limits.DIP_S,
    **dict.fromkeys((*DELAYS, "interrupt_after", "interrupt_thinking_after"), limits.DELAY_S),
    "nudge_after": (0.0, limits.MAX_NUDGE_S),
}
_PROFILES = {
    "": api.TurnTaking.PROFILE_UNSPECIFIED,
    "quick": api.TurnTaking.PROFILE_QUICK,
    "balanced": api.TurnTaking.PROFILE_BALANCED,
    "patient": api.TurnTaking.PROFILE_PATIENT,
    "manual": api.TurnTaking.PROFILE_MANUAL,
}
_Delay = Annotated[float, Field(ge=limits.DELAY_S[0], le=limits.DELAY_S[1])]
_Words = Annotated[int, Field(ge=0, le=limits.MAX_INTERRUPT_WORDS)]


class TurnTaking(BaseModel):
    """A character's block; what is left out is the profile's. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Literal["quick", "balanced", "patient", "manual"] = "balanced"
    dip_s: float | None = Field(default=None, ge=limits.DIP_S[0], le=limits.DIP_S[1])
    min_delay_s: _Delay | None = None
    mid_delay_s: _Delay | None = None
    max_delay_s: _Delay | None = None
    interrupt_after_s: _Delay | None = None
    interrupt_words: _Words | None = None
    interrupt_thinking_after_s: _Delay | None = None
    interrupt_thinking_words: _Words | None = None
    interruptible: bool | None = None
    speculation: bool | None = None
    nudge_after_s: float | None = Field(default=None, ge=0, le=limits.MAX_NUDGE_S)

    @model_validator(mode="after")
    def _is_ordered(self) -> "TurnTaking":
        for problem in order_problems("", self.message()):
            raise ValueError(f"{problem.field}_s {problem.text}")
        return self

    def message(self) -> api.TurnTaking:
        """As the contract has it: only what is set, and always a profile."""
        message = api.TurnTaking(profile=_PROFILES[self.profile])
        for name, value in self.model_dump(exclude_none=True, exclude={"profile"}).items():
            if name.endswith("_s"):
                span: Duration = getattr(message, name.removesuffix("_s"))
                span.FromNanoseconds(round(value * 1e9))
            else:
                setattr(message, name, value)
        return message


def merged(base: api.TurnTaking, changes: api.TurnTaking) -> api.TurnTaking:
    """Field by field: what `changes` leaves unset stays as it is."""
    both = api.TurnTaking()
    both.CopyFrom(base)
    for field, value in changes.ListFields():
        # Not MergeFrom: it merges a duration by its parts, 0.5 s over 2 s would be 2.5 s.
        if isinstance(value, Duration):
            getattr(both, field.name).CopyFrom(value)
        else:
            setattr(both, field.name, value)
    return both


def profile_of(message: api.TurnTaking) -> str:
    """The profile's name as front ends are told it; one that is not known here is shown as is."""
    names = {number: name for name, number in _PROFILES.items()}
    return names.get(message.profile, str(message.profile)) or "balanced"


def problems(field: str, message: api.TurnTaking) -> Iterator[Problem]:
    """What is wrong with the values that are set, each with its path."""
    if message.profile not in _PROFILES.values():
        yield Problem(f"{field}.profile", "OUT_OF_RANGE", "is no known profile")
    fits = True
    for set_field, value in message.ListFields():
        name = set_field.name
        if name in _RANGES_S and not _is_within(value, *_RANGES_S[name]):
            fits = False
            least, most = _RANGES_S[name]
            text = f"must be {least:g} to {most:g} seconds"
            yield Problem(f"{field}.{name}", "OUT_OF_RANGE", text)
        if name.endswith("_words") and value > limits.MAX_INTERRUPT_WORDS:
            text = f"must be 0 to {limits.MAX_INTERRUPT_WORDS}"
            yield Problem(f"{field}.{name}", "OUT_OF_RANGE", text)
    if fits:
        yield from order_problems(f"{field}.", message)


def order_problems(prefix: str, message: api.TurnTaking) -> Iterator[Problem]:
    """Delays that are set and shorter than one that has to be shorter."""
    given = {field.name: value for field, value in message.ListFields()}
    least, before = -math.inf, ""
    for name in DELAYS:
        if name not in given:
            continue
        seconds = _seconds(given[name])
        if seconds < least:
            text = f"is {seconds:g} s, must be at least {before} ({least:g} s)"
            yield Problem(f"{prefix}{name}", "OUT_OF_ORDER", text)
        else:
            least, before = seconds, name


def _is_within(span: Duration, least: float, most: float) -> bool:
    return least <= _seconds(span) <= most


def _seconds(span: Duration) -> float:
    return span.seconds + span.nanos / 1e9
