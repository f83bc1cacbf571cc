"""The sentences of one attempt at an answer, from pieces of text; pure."""

from collections.abc import Sequence

from visavis_llm.speakable import speakable
from visavis_llm.splitter import Splitter

MAX_CHARACTERS = 4000
"""Beyond it the answer is cut: a server that ignores its token limit would talk for ever."""
LENGTH = "length"
_ENDS = tuple(".!?…。！？")


class Answer:
    """Feed pieces of text, get sentences. `finish_reason` tells why it ended, once it has."""

    def __init__(self, existing: Sequence[str] = ()) -> None:
        self._splitter = Splitter(is_first=not existing)
        self._has_whole = any(map(is_whole, existing))
        self._length = sum(map(len, existing))
        self.finish_reason = ""

    def feed(self, text: str, finish_reason: str = "") -> list[str]:
        """The sentences that are complete now."""
        self._length += len(text)
        if self._length > MAX_CHARACTERS:
            finish_reason = LENGTH
        self.finish_reason = self.finish_reason or finish_reason
        sentences = _spoken(self._splitter.feed(text))
        self._has_whole = self._has_whole or any(map(is_whole, sentences))
        return sentences

    def finish(self) -> list[str]:
        """The rest; nothing if the answer was cut in a sentence that can be left out."""
        rest = _spoken(self._splitter.flush())
        if self.finish_reason == LENGTH and self._has_whole:
            return list(filter(is_whole, rest))
        return rest


def _spoken(pieces: list[str]) -> list[str]:
    return [words for words in map(speakable, pieces) if words]


def is_whole(sentence: str) -> bool:
    """True if it ends like a sentence, not like a clause."""
    return sentence.rstrip("\"'”’»)]」』").endswith(_ENDS)
