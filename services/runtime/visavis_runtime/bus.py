"""The bus port: what services may ask of the bus, and nothing else.

`nats_bus.NatsBus` is the adapter; tests/support holds an in-memory twin that passes the same suite.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

ALL_FROM_START = 1
STORE_BUDGET_S = 15.0
"""How long a durable write is retried: a stream's leader takes up to 6.7 s to be replaced (measured)."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as delivered by a subscription."""

    subject: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as kept in a stream; `time_s` is the server's clock in unix seconds."""

    subject: str
    data: bytes
    sequence: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stream's answer to a write."""

    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on a write: the last message on `subject` has this `sequence` (0: there is none)."""

    subject: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of the session store and the revision that the next change must name."""

    value: bytes
    revision: int


class WorkItem(Protocol):
    """An un-acked message of a work queue."""

    subject: str
    data: bytes
    sequence: int
    deliveries: int
    time_s: float

    async def ack(self) -> None:
        """Remove the item. Returns once the server has confirmed; raises BusUnavailable otherwise."""

    async def nak(self, delay_s: float = 0.0) -> None:
        """Give the item back, to be delivered again after `delay_s` seconds."""

    async def term(self) -> None:
        """Remove the item as failed."""

    async def renew(self) -> None:
        """Restart the item's ack wait. Returns once confirmed; raises BusUnavailable otherwise."""


class WorkQueue(Protocol):
    """A durable consumer bound by this process."""

    async def fetch(self, timeout_s: float = 2.0) -> WorkItem | None:
        """The next item, or None after `timeout_s`. Never cancel it: an abandoned pull swallows an item."""

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
        """Send without storing guarantees. False when it was dropped because the server is away."""

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
    ) -> Receipt:
        """Write durably, retrying with the same id for 15 s.

        Raises LeaseLost (guard refused), SubjectTaken, TooLarge, BusUnavailable.
        """

    async def work(self, stream: str, consumer: str) -> WorkQueue:
        """Bind an existing durable consumer. Raises BusUnavailable while it does not exist."""

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """Deliver messages of a subject (wildcards allowed), in order, from now on."""

    async def serve(self, subject: str, responder: Responder, *, queue: str = "") -> Subscription:
        """Answer requests; members of one `queue` share them."""

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask and wait. Raises NobodyThere, BusUnavailable."""

    async def last(self, stream: str, subject: str, *, leader: bool = False) -> Stored | None:
        """The last message on a subject; from the stream's leader when a lagging replica will not do."""

    def replay(
        self, stream: str, subject: str, from_sequence: int = ALL_FROM_START
    ) -> AsyncIterator[Stored]:
        """The stored messages of a subject (wildcards allowed) from a sequence on, then stop."""

    async def read(self, key: str) -> Entry | None:
        """A value of the session store."""

    async def create(self, key: str, value: bytes) -> int:
        """Write a new value; returns its revision. Raises WrongRevision when the key exists."""

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Change a value by compare-and-set; returns the new revision. Raises WrongRevision."""

    async def ping(self) -> None:
        """A true round trip to the server. Raises BusUnavailable after 2 s."""

    async def aclose(self) -> None:
        """Close the connection."""
