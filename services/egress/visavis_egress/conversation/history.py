"""The conversation as it was heard, and the messages made of it."""

from collections.abc import Iterable

Entry = tuple[str, str]
"""A role (`user` or `assistant`) and words."""


class History:
    """What both sides said, as heard: an avatar's sentence that nobody heard is not in it."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = list(entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Oldest first."""
        return tuple(self._entries)

    def add(self, role: str, text: str) -> None:
        """Append words; two of the same role in a row are joined: models want them to alternate."""
        if not text:
            return
        if self._entries and self._entries[-1][0] == role:
            text = f"{self._entries.pop()[1]} {text}"
        self._entries.append((role, text))

    def messages(
        self, instructions: str, words: str, max_bytes: int
    ) -> tuple[tuple[Entry, ...], int]:
        """The request for the answer to `words`, and how many old entries were left out."""
        asking = History(self._entries)
        asking.add("user", words)
        kept = asking.latest(max_bytes - len(instructions.encode()))
        return (("system", instructions), *kept), len(asking.entries) - len(kept)

    def latest(self, max_bytes: int) -> tuple[Entry, ...]:
        """The newest entries whose words fit; of one that is too long alone, its end."""
        kept = len(self._entries)
        room = max_bytes
        while kept and (size := len(self._entries[kept - 1][1].encode())) <= room:
            room -= size
            kept -= 1
        if self._entries and kept == len(self._entries):
            role, text = self._entries[-1]
            encoded = text.encode()
            return ((role, encoded[len(encoded) - max(0, max_bytes) :].decode(errors="ignore")),)
        return tuple(self._entries[kept:])
