"""A sentence's samples, put together from chunks in any order and from any attempt."""

from visavis_egress.conversation.config import RATE_OUT_HZ

_CHARACTERS_PER_S = 15
_END_S = 0.02
"""Clocks differ: this close to its end a sentence counts as heard."""


class Sentence:
    """One sentence of an answer and what has arrived of its sound."""

    def __init__(self, text: str, *, is_heard: bool = False) -> None:
        self.text = text
        self.is_heard = is_heard
        """A holder before this one has spoken it."""
        self.is_skipped = is_heard
        """Nothing of it is played (any more)."""
        self.repeated = False
        self.attempt = 0
        self.is_looked_for = False
        """The stream was searched for what is missing before the end mark."""
        self.asked_at: float | None = None
        self.pcm = bytearray()
        self._ahead: dict[int, bytes] = {}
        self._samples: int | None = None

    def add(self, offset: int, pcm: bytes) -> None:
        """Put samples where they belong; what is there already is kept.

        A sentence that is whole, or given up, takes no more: positions after it would move.
        """
        if self.is_whole:
            return
        self._ahead[offset * 2] = max(pcm, self._ahead.get(offset * 2, b""), key=len)
        while True:
            reachable = [start for start in self._ahead if start <= len(self.pcm)]
            if not reachable:
                return
            for start in reachable:
                piece = self._ahead.pop(start)
                self.pcm += piece[len(self.pcm) - start :]

    def close(self, samples: int) -> None:
        """The sentence has so many samples; another attempt's mark does not open it again."""
        if not self.is_whole:
            self._samples = samples

    @property
    def is_whole(self) -> bool:
        """Every sample is there, or it will not be played."""
        closed = self._samples is not None and len(self.pcm) >= self._samples * 2
        return closed or self.is_skipped

    @property
    def has_gap(self) -> bool:
        """The end is known and samples before it are missing."""
        return self._samples is not None and not self.is_whole

    @property
    def duration_s(self) -> float:
        """Length of what is there."""
        return 0.0 if self.is_heard else len(self.pcm) / 2 / RATE_OUT_HZ

    def words_until(self, seconds: float) -> str:
        """The words heard after `seconds` of it: by share of the characters, whole words only."""
        if self.is_heard:
            return self.text
        if seconds <= 0 or not self.duration_s:
            return ""
        seconds = min(seconds, self.duration_s)  # later sentences play on after it
        whole_s = self.duration_s
        if not self.is_whole or self.is_skipped:
            # Until all samples are there the length is estimated from the words.
            whole_s = max(whole_s, len(self.text) / _CHARACTERS_PER_S)
        if seconds >= whole_s - _END_S:
            return self.text
        return self.text[: int(len(self.text) * seconds / whole_s)].rpartition(" ")[0]
