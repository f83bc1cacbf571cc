"""Session ids: ULIDs, random, or derived from a caller's request id."""

import hashlib
import re
import secrets
import time

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_ULID = re.compile(f"[0-7][{_LETTERS}]{{{_LENGTH - 1}}}")


def new_ulid() -> str:
    """48 bits of unix milliseconds, 80 random bits."""
    return _letters(time.time_ns() // 1_000_000 << 80 | secrets.randbits(80))


def session_id(key_id: str, request_id: str) -> str:
    """The session that a key's request id stands for: the same at every replica, at any time."""
    # Key ids hold no NUL (api_keys), so no two pairs share their bytes.
    digest = hashlib.sha256(f"{key_id}\0{request_id}".encode()).digest()
    return _letters(int.from_bytes(digest[:16], "big"))


def is_ulid(text: str) -> bool:
    """True for 26 letters of a ULID; what passes is safe inside a subject."""
    return _ULID.fullmatch(text) is not None


def _letters(number: int) -> str:
    """128 bits as 26 letters of Crockford's base 32, the highest first."""
    return "".join(_LETTERS[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
