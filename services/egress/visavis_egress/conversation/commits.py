"""Turns on their way into the stream, and those that wait to be answered."""

from collections import deque
from collections.abc import Iterable

from visavis_egress.conversation.turns import Turn


class Commits:
    """First in, first answered; a turn is answered only once it is stored."""

    def __init__(self, stored: Iterable[Turn], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._underway: dict[int, Turn] = {}
        self._since: dict[int, float] = {}
        self.ready: deque[Turn] = deque(stored)
        """Stored, oldest first."""

    @property
    def is_busy(self) -> bool:
        """A turn is being stored."""
        return bool(self._underway)

    def begin(self, turn: Turn) -> None:
        """It is being stored."""
        self._underway[turn.number] = turn

    def done(self, number: int) -> None:
        """It is stored."""
        if turn := self.forget(number):
            self.ready.append(turn)

    def forget(self, number: int) -> Turn | None:
        """It was stored before, under another number."""
        self._since.pop(number, None)
        return self._underway.pop(number, None)

    def give_up(self, now: float) -> None:
        """No word came of a turn's storing: the person is told, and nothing waits for it."""
        for number in tuple(self._underway):
            since = self._since.setdefault(number, now)
            if now - since >= self._timeout_s and (turn := self.forget(number)):
                turn.failure = "COMMIT_TIMEOUT"
                self.ready.append(turn)
