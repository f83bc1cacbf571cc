"""The bus port: all that services may ask of the bus; `nats_bus` is its adapter."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

STORE_BUDGET_S = 15.0
"""How long a durable write is retried: replacing a stream's leader took up to 6.7 s."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as delivered by a subscription."""

    subject: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Stored(Message):
    """A message as kept in a stream; `time_s` is the server's clock in unix seconds."""

    sequence: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stream's answer to a write."""

    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on a write: the last message on `subject` has this `sequence` (0: none)."""

    subject: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of the session store and the revision that the next change must name."""

    value: bytes
    revision: int


class WorkItem(Protocol):
    """An un-acked message of a work queue; `waiting`: how many more the queue then had."""

    subject: str
    data: bytes
    sequence: int
    deliveries: int
    waiting: int
    time_s: float

    async def ack(self) -> None:
        """Remove the item. All four verbs return once confirmed, else raise BusUnavailable."""

    async def nak(self, delay_s: float = 0.0) -> None:
        """Give the item back, to be delivered again after `delay_s` seconds."""

    async def term(self) -> None:
        """Remove the item as failed."""

    async def renew(self) -> None:
        """Restart the item's ack wait."""


class WorkQueue(Protocol):
    """A durable consumer bound by this process."""

    async def fetch(self, timeout_s: float = 2.0) -> WorkItem | None:
        """The next item, None after `timeout_s`. Never cancel it: the pull would swallow one."""

    async def aclose(self) -> None:
        """Give back what was delivered and not fetched."""


class Subscription(Protocol):
    """A running subscription."""

    async def aclose(self) -> None:
        """Stop it."""


Handler = Callable[[Message], None]
"""Called on the event loop for each message; must not block or raise."""

Responder = Callable[[Message], Awaitable[bytes]]
"""Answers one request."""


class Bus(Protocol):
    """Messages, streams, work queues and the session store."""

    async def publish(self, subject: str, data: bytes) -> bool:
        """Send without storing guarantees. False: dropped, the server is away. Raises TooLarge."""

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
    ) -> Receipt:
        """Write durably, retrying with the same id for 15 s.

        Raises LeaseLost (guard refused), SubjectTaken, TooLarge, Forbidden, BusUnavailable.
        """

    async def work(self, stream: str, consumer: str) -> WorkQueue:
        """Bind an existing durable consumer. Raises BusUnavailable while it does not exist."""

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """Deliver messages of a subject (wildcards allowed), in order, from now on."""

    async def serve(self, subject: str, responder: Responder, *, queue: str = "") -> Subscription:
        """Answer requests; members of one `queue` share them. A failed responder sends nothing."""

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask and wait. Raises NobodyThere, BusUnavailable."""

    async def last(self, stream: str, subject: str, *, leader: bool = False) -> Stored | None:
        """The last message on a subject; `leader`: never the answer of a lagging replica."""

    def replay(self, stream: str, subject: str, from_sequence: int = 1) -> AsyncIterator[Stored]:
        """The stored messages of a subject (wildcards allowed) from a sequence on, then stop."""

    async def read(self, key: str) -> Entry | None:
        """A value of the session store."""

    async def create(self, key: str, value: bytes) -> int:
        """Write a new value; returns its revision. Raises WrongRevision when the key exists."""
        return await self.update(key, value, 0)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Change a value by compare-and-set; returns the new revision. Raises WrongRevision."""

    async def ping(self) -> None:
        """A true round trip. Raises BusUnavailable after 2 s, and Forbidden after any violation."""

    async def aclose(self) -> None:
        """Close the connection."""
