"""Which samples go to the avatar when, and what has been heard of them."""

from visavis_egress.conversation.config import RATE_OUT_HZ, Timing
from visavis_egress.conversation.speech import Sentence

_BYTES_PER_S = RATE_OUT_HZ * 2


class Playback:
    """Sends sentences in order, at most `lead_s` ahead, and keeps the position.

    The position follows our own clock from the avatar's report of the start, and stands still while
    the avatar has nothing to play. Seconds count from the first sample of the whole answer.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._sentence = 0
        self._byte = 0
        self._played_from = 0.0
        self._request_from = 0.0
        self._clock_at = 0.0
        self._handed_at: float | None = None
        self.sent_s = 0.0
        self.is_started = False
        self.is_ended = False

    def start(self, now: float) -> None:
        """The avatar has begun to play."""
        if not self.is_started:
            self.is_started = True
            self._clock_at = now

    def advance(self, now: float) -> None:
        """Let the position follow the clock."""
        if self.is_started:
            moved = self._played_from + max(0.0, now - self._clock_at)
            self._played_from = min(moved, self.sent_s)
            self._clock_at = now
        elif self._handed_at is not None and now - self._handed_at >= self._timing.start_report_s:
            self.start(now)  # no report came: the avatar plays all the same

    @property
    def position_s(self) -> float:
        """How much of the answer has been heard."""
        return self._played_from

    @property
    def has_open_request(self) -> bool:
        """The avatar was given samples since the beginning, or since it was lost."""
        return self._handed_at is not None

    @property
    def lead_s(self) -> float:
        """How much the avatar has and has not played."""
        return self.sent_s - self._played_from

    def next_piece(self, sentences: list[Sentence], now: float) -> bytes | None:
        """The next samples to hand over; None when nothing is ready or the lead is long enough."""
        if self.lead_s >= self._timing.lead_s:
            return None
        while self._sentence < len(sentences):
            sentence = sentences[self._sentence]
            size = int(self._timing.piece_s * RATE_OUT_HZ) * 2
            piece = (
                b"" if sentence.is_heard else bytes(sentence.pcm[self._byte : self._byte + size])
            )
            if piece:
                self._byte += len(piece)
                self.sent_s += len(piece) / _BYTES_PER_S
                self._handed_at = self._handed_at if self._handed_at is not None else now
                return piece
            if not sentence.is_whole:
                return None
            self._sentence += 1
            self._byte = 0
        return None

    def is_drained(self, sentences: list[Sentence]) -> bool:
        """Every sample of every sentence has been handed over."""
        return self._sentence >= len(sentences)

    @property
    def waits_for(self) -> int:
        """Index of the sentence whose samples come next."""
        return self._sentence

    @property
    def is_inside_sentence(self) -> bool:
        """Samples of the sentence that comes next have been handed over already."""
        return self._byte > 0

    def skip(self, sentences: list[Sentence], index: int) -> None:
        """Leave out the rest of a sentence that cannot be had."""
        sentences[index].is_skipped = True
        del sentences[index].pcm[self._byte if index == self._sentence else 0 :]

    def rewind(self, sentences: list[Sentence]) -> None:
        """What was handed over and not heard is to be handed over again, as a new request."""
        start_s = 0.0
        for index, sentence in enumerate(sentences):
            # Never past a sentence whose sound is still to come, though a later one's is there.
            if self.position_s < start_s + sentence.duration_s or not sentence.is_whole:
                self._sentence = index
                self._byte = round((self.position_s - start_s) * RATE_OUT_HZ) * 2
                break
            start_s += sentence.duration_s
        self.sent_s = self._request_from = self.position_s
        self._handed_at = None
        self.is_started = self.is_ended = False

    def settle(self, position_s: float) -> None:
        """Take the avatar's own word for how much of its last request was heard."""
        self._played_from = min(self._request_from + max(0.0, position_s), self.sent_s)

    def finish(self, now: float) -> None:
        """The avatar has played all that it was given."""
        self.start(now)
        self._played_from = self.sent_s


def heard_text(sentences: list[Sentence], position_s: float) -> str:
    """The words that were heard by `position_s`."""
    words: list[str] = []
    start_s = 0.0
    for sentence in sentences:
        words.append(sentence.words_until(position_s - start_s))
        start_s += sentence.duration_s
    return " ".join(word for word in words if word)


def sentence_at(sentences: list[Sentence], position_s: float) -> int:
    """Index of the sentence that is being heard at `position_s`."""
    start_s = 0.0
    last = 0
    for index, sentence in enumerate(sentences):
        if sentence.duration_s and position_s >= start_s - 1e-9:
            last = index
        if not sentence.is_whole:
            break  # what follows cannot have begun
        start_s += sentence.duration_s
    return last
