"""The API keys of a deployment: `id:secret` pairs; a caller shows the secret."""

import hashlib
import hmac
import re

MIN_SECRET_CHARS = 16
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ApiKeys:
    """Knows which key a secret belongs to, and keeps only the secrets' hashes."""

    def __init__(self, secrets_by_id: dict[str, str]) -> None:
        self._digests = {key: _digest(secret) for key, secret in secrets_by_id.items()}
        self.ids = frozenset(self._digests)

    @classmethod
    def parse(cls, text: str) -> "ApiKeys":
        """Read `id:secret,id:secret`. Raises ValueError, never with a secret in its text."""
        found: dict[str, str] = {}
        for number, pair in enumerate(text.split(","), start=1):
            key, _, secret = pair.strip().partition(":")
            if not _ID.fullmatch(key):
                raise ValueError(f"entry {number} is not id:secret (id: letters, digits, - and _)")
            if len(secret) < MIN_SECRET_CHARS:
                raise ValueError(
                    f"the secret of {key!r} has {len(secret)} characters, "
                    f"at least {MIN_SECRET_CHARS} are needed"
                )
            if key in found or secret in found.values():
                raise ValueError(f"{key!r} repeats the id or the secret of another entry")
            found[key] = secret
        return cls(found)

    def identify(self, secret: str) -> str | None:
        """The id of the key with this secret, or None."""
        shown = _digest(secret)
        matching = None
        # All are compared, each in constant time: the time taken tells nothing about any of them.
        for key, digest in self._digests.items():
            if hmac.compare_digest(shown, digest):
                matching = key
        return matching

    def bearer(self, authorization: str) -> str | None:
        """The id of the key in an `authorization` header or metadata entry, or None."""
        scheme, _, secret = authorization.partition(" ")
        return self.identify(secret.strip()) if scheme.lower() == "bearer" else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
