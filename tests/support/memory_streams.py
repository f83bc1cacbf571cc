"""Streams and work consumers of the in-memory bus, with the declared limits; no I/O, no clock."""

from math import inf
from pathlib import Path
from typing import Any

import yaml

from visavis_runtime import errors
from visavis_runtime.bus import Guard, Receipt, Stored

DECLARATION = Path(__file__).resolve().parents[2] / "deploy" / "nats" / "streams.yaml"


def declared() -> dict[str, dict[str, Any]]:
    """The streams of deploy/nats/streams.yaml."""
    streams: dict[str, dict[str, Any]] = yaml.safe_load(DECLARATION.read_text())["streams"]
    return streams


def matches(pattern: str, subject: str) -> bool:
    """NATS' rule: `*` is one token, `>` the rest, which is never empty."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


class MemoryStream:
    """One stream: what it holds, what it refuses."""

    def __init__(self, numbers: dict[str, Any]) -> None:
        self._numbers = numbers
        self._messages: dict[int, Stored] = {}
        self._ids: dict[str, tuple[int, float]] = {}
        self._last = 0
        self.allow_direct = bool(numbers.get("allow_direct"))
        self.consumers = {
            name: MemoryConsumer(name, given)
            for name, given in numbers.get("consumers", {}).items()
        }

    def captures(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self._numbers["subjects"])

    def store(
        self,
        subject: str,
        data: bytes,
        now: float,
        *,
        message_id: str = "",
        guard: Guard | None = None,
    ) -> Receipt:
        """Keep a message. Raises TooLarge, LeaseLost, SubjectTaken."""
        self._expire(now)
        if len(data) > self._numbers["max_msg_size"]:
            raise errors.TooLarge(subject)
        # In the server's order: a repeat under a guard that has moved is refused, not a duplicate.
        if guard and self._last_of(guard.subject) != guard.sequence:
            raise errors.LeaseLost(subject)
        if known := self._ids.get(message_id):
            return Receipt(known[0], duplicate=True)
        self._make_room(subject)
        self._last += 1
        self._messages[self._last] = Stored(subject, data, self._last, now)
        if message_id:
            self._ids[message_id] = (self._last, now)
        return Receipt(self._last, duplicate=False)

    def select(self, pattern: str, now: float, from_sequence: int = 1) -> list[Stored]:
        """What is kept on matching subjects, oldest first."""
        self._expire(now)
        found = self._messages.values()
        return [m for m in found if m.sequence >= from_sequence and matches(pattern, m.subject)]

    def get(self, sequence: int) -> Stored | None:
        return self._messages.get(sequence)

    def remove(self, sequence: int) -> None:
        self._messages.pop(sequence, None)

    def _make_room(self, subject: str) -> None:
        limit = self._numbers.get("max_msgs_per_subject", inf)
        same = [m.sequence for m in self._messages.values() if m.subject == subject]
        if len(same) >= limit:
            if self._numbers.get("discard_new_per_subject"):
                raise errors.SubjectTaken(subject)
            self.remove(same[0])

    def _last_of(self, subject: str) -> int:
        same = [m.sequence for m in self._messages.values() if m.subject == subject]
        return same[-1] if same else 0

    def _expire(self, now: float) -> None:
        oldest = now - self._numbers["max_age_s"]
        self._messages = {n: m for n, m in self._messages.items() if m.time_s > oldest}
        known = now - self._numbers["duplicate_window_s"]
        self._ids = {name: seen for name, seen in self._ids.items() if seen[1] > known}


class MemoryConsumer:
    """One durable work consumer: who was given what, how often, and when it is due again."""

    def __init__(self, name: str, numbers: dict[str, Any]) -> None:
        self.name = name
        self.ack_wait_s: float = numbers["ack_wait_s"]
        self._filter: str = numbers["filter"]
        self._max_deliver: float = numbers["max_deliver"] if numbers["max_deliver"] > 0 else inf
        self._due: dict[int, float] = {}
        self._deliveries: dict[int, int] = {}
        self._told: set[int] = set()

    def take(self, stream: MemoryStream, now: float) -> tuple[Stored, int] | None:
        """The next item and its deliveries with this one: what is due again first, then new."""
        self._due = {n: due for n, due in self._due.items() if stream.get(n)}
        again = (n for n, due in self._due.items() if due <= now and self._may(n))
        fresh = (
            message.sequence
            for message in stream.select(self._filter, now)
            if message.sequence not in self._due
        )
        sequence = next(again, None) or next(fresh, None)
        stored = stream.get(sequence) if sequence else None
        if stored is None:
            return None
        self._deliveries[stored.sequence] = self._deliveries.get(stored.sequence, 0) + 1
        self._due[stored.sequence] = now + self.ack_wait_s
        return stored, self._deliveries[stored.sequence]

    def waiting(self, stream: MemoryStream, now: float) -> int:
        """How many items nobody was given yet."""
        return sum(one.sequence not in self._due for one in stream.select(self._filter, now))

    def exhausted(self, now: float) -> list[tuple[int, int]]:
        """Items that are due and will not be delivered again, told once, with their deliveries."""
        over = [n for n, due in self._due.items() if due <= now and not self._may(n)]
        fresh = [n for n in over if n not in self._told]
        self._told.update(fresh)
        return [(n, self._deliveries[n]) for n in fresh]

    def next_due(self, now: float) -> float:
        """When to look again; infinite when nothing is out."""
        return min((due for due in self._due.values() if due > now), default=inf)

    def postpone(self, sequence: int, due: float) -> None:
        """Deliver an item again at `due`; nothing when it is settled."""
        if sequence in self._due:
            self._due[sequence] = due

    def forget(self, sequence: int) -> None:
        self._due.pop(sequence, None)

    def _may(self, sequence: int) -> bool:
        return self._deliveries[sequence] < self._max_deliver
