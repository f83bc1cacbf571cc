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
        kept = asking.entries
        dropped = 0
        size = len(instructions.encode()) + sum(len(text.encode()) for _, text in kept)
        while size > max_bytes and len(kept) > 1:
            size -= len(kept[0][1].encode())
            kept = kept[1:]
            dropped += 1
        return (("system", instructions), *kept), dropped
