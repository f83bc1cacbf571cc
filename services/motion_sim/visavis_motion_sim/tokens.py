"""Session tokens: short-lived, each good for one connection."""

import secrets
from enum import Enum, auto


class Verdict(Enum):
    """What a presented token is worth."""

    GOOD = auto()
    UNKNOWN = auto()
    USED = auto()
    EXPIRED = auto()


class Tokens:
    """Issues and redeems tokens. Times are unix seconds, given by the caller."""

    def __init__(self) -> None:
        self._open: dict[str, float] = {}
        self._used: dict[str, float] = {}

    def issue(self, expire_at: float, now: float) -> str:
        """A new token; forgets those that expired."""
        for table in (self._open, self._used):
            for token in [token for token, expiry in table.items() if expiry < now - 60.0]:
                del table[token]
        token = secrets.token_urlsafe(24)
        self._open[token] = expire_at
        return token

    def redeem(self, token: str, now: float) -> Verdict:
        """Use a token up."""
        if token in self._used:
            return Verdict.USED
        expiry = self._open.pop(token, None)
        if expiry is None:
            return Verdict.UNKNOWN
        self._used[token] = expiry
        return Verdict.GOOD if now < expiry else Verdict.EXPIRED
