"""Tells a decoding that ran in a loop: short windows make Whisper repeat itself now and then."""

MAX_TOKENS_PER_S = 7
_SPARE_TOKENS = 12


def token_cap(seconds: float) -> int:
    """Most tokens that an utterance of this length can need; a loop runs into it."""
    return _SPARE_TOKENS + int(seconds * MAX_TOKENS_PER_S)


def is_suspect(text: str, tokens: int, cap: int) -> bool:
    """True if it should be decoded again: the cap was reached, or the text repeats itself."""
    return tokens >= cap - 1 or repeats(_words(text))


def repeats(words: list[str]) -> bool:
    """True if the words are one phrase said again, the last time perhaps cut: `a b c a b`.

    One word that opens and closes a sentence is no repetition.
    """
    count = len(words)
    periods = range(1, max(count // 2 + 1, count - 1))
    return any(words[period:] == words[: count - period] for period in periods)


def _words(text: str) -> list[str]:
    bare = ("".join(c for c in word if c.isalnum()) for word in text.lower().split())
    return [word for word in bare if word]
