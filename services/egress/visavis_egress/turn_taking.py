"""How a session takes turns: the contract's message as the conversation's numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.duration_pb2 import Duration

from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation.config import PROFILES, TurnTaking

_PROFILES = {
    api.TurnTaking.PROFILE_UNSPECIFIED: PROFILES["balanced"],
    api.TurnTaking.PROFILE_QUICK: PROFILES["quick"],
    api.TurnTaking.PROFILE_BALANCED: PROFILES["balanced"],
    api.TurnTaking.PROFILE_PATIENT: PROFILES["patient"],
    api.TurnTaking.PROFILE_MANUAL: PROFILES["manual"],
}
_DELAYS = ("min_delay_s", "mid_delay_s", "max_delay_s")


def turn_taking(message: api.TurnTaking) -> TurnTaking:
    """The profile's values, replaced by what the message sets.

    A profile that is not known here (a newer token's) is the default one. A delay of the profile
    gives way to those that are set: min <= mid <= max holds if it holds for the latter.
    """
    chosen = _PROFILES.get(message.profile, PROFILES["balanced"])
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        if isinstance(value, Duration):
            values[f"{field.name}_s"] = value.ToTimedelta().total_seconds()
        elif field.name != "profile":
            values[field.name] = value
    values |= _yielding(chosen, [values.get(name) for name in _DELAYS])
    return replace(chosen, **values)


def _yielding(chosen: TurnTaking, wanted: Sequence[float | None]) -> dict[str, float]:
    """The profile's delays between those that are wanted."""
    out: dict[str, float] = {}
    for place, (name, want) in enumerate(zip(_DELAYS, wanted, strict=True)):
        if want is None:
            below = [one for one in wanted[:place] if one is not None]
            above = [one for one in wanted[place + 1 :] if one is not None]
            out[name] = min([max([getattr(chosen, name), *below]), *above])
    return out
