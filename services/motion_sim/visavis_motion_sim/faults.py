"""Errors on demand: what a test may ask of the stand-in, and how long it holds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Refusal(BaseModel):
    """Refuse the next `count` connections, in the handshake or (http_status) before it."""

    model_config = ConfigDict(extra="forbid")

    code: int = 0
    message: str = "refused on demand"
    http_status: int | None = Field(default=None, ge=400, le=599)
    count: int = Field(default=1, ge=1)


class SessionError(BaseModel):
    """Send this ServerError on every open connection, which stays open."""

    model_config = ConfigDict(extra="forbid")

    code: int
    message: str
    req_id: str = ""


class FaultOrder(BaseModel):
    """Body of `POST /sim/faults`; what is left out stays as it was."""

    model_config = ConfigDict(extra="forbid")

    refuse_next: Refusal | None = None
    refuse_tokens: Refusal | None = None
    close: Literal["drop", "idle", "duration", "normal"] | None = None
    error: SessionError | None = None
    first_audio_delay_ms: int | None = Field(default=None, ge=0)
    lose_rpcs: int | None = Field(default=None, ge=-1)
    confirm_delay_ms: int | None = Field(default=None, ge=0)


class Faults:
    """The standing faults of a process. `lose_rpcs` −1 = all until reset."""

    def __init__(self, first_audio_delay_ms: int = 0) -> None:
        self._default_delay_ms = first_audio_delay_ms
        self.reset()

    def reset(self) -> None:
        """Serve well again."""
        self.refusals: list[Refusal] = []
        self.token_refusals: list[Refusal] = []
        self.first_audio_delay_ms = self._default_delay_ms
        self.confirm_delay_ms = 0
        self.lose_rpcs = 0

    def order(self, order: FaultOrder) -> None:
        """Take over the lasting part of an order (`close` and `error` are acts, not faults)."""
        if order.refuse_next is not None:
            self.refusals += [order.refuse_next] * order.refuse_next.count
        if order.refuse_tokens is not None:
            self.token_refusals += [order.refuse_tokens] * order.refuse_tokens.count
        if order.first_audio_delay_ms is not None:
            self.first_audio_delay_ms = order.first_audio_delay_ms
        if order.confirm_delay_ms is not None:
            self.confirm_delay_ms = order.confirm_delay_ms
        if order.lose_rpcs is not None:
            self.lose_rpcs = order.lose_rpcs

    def take_refusal(self, *, http: bool) -> Refusal | None:
        """The refusal due for the connection being made, at the stage it is meant for."""
        if self.refusals and (self.refusals[0].http_status is not None) == http:
            return self.refusals.pop(0)
        return None

    def take_token_refusal(self) -> Refusal | None:
        """The refusal due for the token being asked for."""
        return self.token_refusals.pop(0) if self.token_refusals else None

    def take_lost_rpc(self) -> bool:
        """Whether the next playback RPC is to be lost."""
        if self.lose_rpcs > 0:
            self.lose_rpcs -= 1
            return True
        return self.lose_rpcs < 0
