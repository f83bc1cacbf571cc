"""The errors of egress, sorted by who must act.

VisavisError
├── RoomUnavailable    try again: LiveKit did not answer or refused for now
├── AvatarUnavailable  try again: the vendor could not be reached, or closed the connection
└── AvatarRefused      apply the fallback: credits, unknown avatar, wrong application
"""

from dataclasses import dataclass

from visavis_runtime.errors import VisavisError


class RoomUnavailable(VisavisError):
    """LiveKit did not answer in time, or answered with an error."""


@dataclass(frozen=True, slots=True)
class AvatarTrouble:
    """What the vendor said, for events, logs and its support."""

    code: str
    message: str = ""
    connection_id: str = ""
    request_id: str = ""


class AvatarError(VisavisError):
    """Something about the avatar vendor; `trouble` says what."""

    def __init__(self, trouble: AvatarTrouble) -> None:
        super().__init__(f"{trouble.code}: {trouble.message}")
        self.trouble = trouble


class AvatarUnavailable(AvatarError):
    """The vendor could not be reached or closed the connection."""


class AvatarRefused(AvatarError):
    """The vendor will not serve this session however often it is asked."""
