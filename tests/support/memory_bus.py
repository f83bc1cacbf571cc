"""The bus port in memory, without a server: the same verbs, streams, limits and refusals.

`MemoryServer(clock=...)` holds the state; `connect()` gives one `MemoryBus` a process. With a clock
that stands still, call `tick()` after moving it. `down = True` takes the server away;
`longest_fetch_s` keeps tests from waiting for an idle worker's fetch.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any

from tests.support.memory_streams import MemoryConsumer, MemoryStream, declared, matches
from visavis_runtime import bus as port
from visavis_runtime import errors, log
from visavis_runtime.subjects import SESSIONS_STREAM

logger = log.get(__name__)

MAX_PAYLOAD_BYTES = 1024 * 1024


@dataclass(eq=False)
class _Listener:
    subject: str
    queue: str
    deliver: Callable[[port.Message, "asyncio.Future[bytes] | None"], None]


class MemoryServer:
    """Streams, consumers and subscriptions of everybody connected; `clock` gives unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.down = False
        self.longest_fetch_s = inf
        self.streams = {name: MemoryStream(numbers) for name, numbers in declared().items()}
        self.listeners: list[_Listener] = []
        self.changed = asyncio.Event()
        self._turns = count()

    def connect(self) -> "MemoryBus":
        """A connection of its own."""
        return MemoryBus(self)

    def tick(self) -> None:
        """Look again at what is due: something changed, or the clock was moved."""
        self.changed.set()
        self.changed = asyncio.Event()

    def stream_of(self, subject: str) -> MemoryStream | None:
        """The stream that captures a subject; streams never overlap."""
        return next((s for s in self.streams.values() if s.captures(subject)), None)

    def deliver(self, message: port.Message, reply: "asyncio.Future[bytes] | None" = None) -> int:
        """Hand a message to everybody who listens, to one of each queue. Returns to how many."""
        chosen: list[_Listener] = []
        queues: dict[str, list[_Listener]] = {}
        for listener in self.listeners:
            if matches(listener.subject, message.subject):
                group = queues.setdefault(listener.queue, []) if listener.queue else chosen
                group.append(listener)
        turn = next(self._turns)
        chosen += [group[turn % len(group)] for group in queues.values()]
        for listener in chosen:
            asyncio.get_running_loop().call_soon(listener.deliver, message, reply)
        return len(chosen)

    def advise(self, kind: str, stream: str, consumer: str, sequence: int, deliveries: int) -> None:
        """Publish what the server tells about a failed item; VV_DLQ captures it."""
        subject = f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{stream}.{consumer}"
        told = {"stream": stream, "consumer": consumer}
        numbers = {"stream_seq": sequence, "deliveries": deliveries}
        data = json.dumps(told | numbers).encode()
        self.deliver(port.Message(subject, data))
        if captor := self.stream_of(subject):
            captor.store(subject, data, self.clock())


class MemoryBus(port.Bus):
    """See `visavis_runtime.bus.Bus`."""

    def __init__(self, server: MemoryServer | None = None) -> None:
        self.server = server or MemoryServer()
        self._closed = False
        self._mine: list[_Listener] = []

    async def publish(self, subject: str, data: bytes) -> bool:
        if self._closed or self.server.down:
            return False
        if len(data) > MAX_PAYLOAD_BYTES:
            raise errors.TooLarge(subject)
        self.server.deliver(port.Message(subject, data))
        if stream := self.server.stream_of(subject):
            with suppress(errors.BusError):  # nobody is told of a refusal
                stream.store(subject, data, self.server.clock())
                self.server.tick()
        return True

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: port.Guard | None = None
    ) -> port.Receipt:
        self._check()
        if len(data) > MAX_PAYLOAD_BYTES:
            raise errors.TooLarge(subject)
        # Before the stream has its say: subscribers also get what it refuses or has already.
        self.server.deliver(port.Message(subject, data))
        if not (stream := self.server.stream_of(subject)):
            raise errors.BusUnavailable(f"no stream captures {subject}")
        receipt = stream.store(
            subject, data, self.server.clock(), message_id=message_id, guard=guard
        )
        self.server.tick()
        return receipt

    async def work(self, stream: str, consumer: str) -> "MemoryWorkQueue":
        self._check()
        found = self._stream(stream).consumers.get(consumer)
        if found is None:
            raise errors.BusUnavailable(f"no consumer {consumer} on {stream}")
        return MemoryWorkQueue(self, self.server, stream, found)

    async def subscribe(self, subject: str, handler: port.Handler) -> port.Subscription:
        def deliver(message: port.Message, reply: Any) -> None:
            try:
                handler(message)
            except Exception as error:  # as nats-py: reported, and the subscription goes on
                logger.error("bus.error", error=repr(error))

        return self._listen(subject, "", deliver)

    async def serve(
        self, subject: str, responder: port.Responder, *, queue: str = ""
    ) -> port.Subscription:
        running: set[asyncio.Task[None]] = set()

        async def answer(message: port.Message, reply: "asyncio.Future[bytes] | None") -> None:
            try:
                data = await responder(message)
            except Exception:  # the outermost loop of a request, as in the adapter
                logger.exception("bus.responder_failed", subject=message.subject)
                return
            if reply and not reply.done():
                reply.set_result(data)

        def deliver(message: port.Message, reply: "asyncio.Future[bytes] | None") -> None:
            running.add(task := asyncio.create_task(answer(message, reply)))
            task.add_done_callback(running.discard)

        return self._listen(subject, queue, deliver)

    def _listen(self, subject: str, queue: str, deliver: Any) -> "_MemorySubscription":
        self._check()
        listener = _Listener(subject, queue, deliver)
        self._mine.append(listener)
        self.server.listeners.append(listener)
        return _MemorySubscription(self.server, listener)

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        self._check()
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if not self.server.deliver(port.Message(subject, data), reply):
            raise errors.NobodyThere(subject)
        try:
            return await asyncio.wait_for(reply, timeout_s)
        except TimeoutError as error:
            raise errors.BusUnavailable(f"no answer on {subject}") from error

    async def last(self, stream: str, subject: str, *, leader: bool = False) -> port.Stored | None:
        self._check()
        messages = self._stream(stream, direct=not leader).select(subject, self.server.clock())
        return messages[-1] if messages else None

    async def replay(
        self, stream: str, subject: str, from_sequence: int = 1
    ) -> AsyncIterator[port.Stored]:
        self._check()
        source = self._stream(stream, direct=True)
        for stored in source.select(subject, self.server.clock(), from_sequence):
            yield stored

    async def read(self, key: str) -> port.Entry | None:
        stored = await self.last(SESSIONS_STREAM, f"$KV.vv_sessions.{key}", leader=True)
        return port.Entry(stored.data, stored.sequence) if stored else None

    async def update(self, key: str, value: bytes, revision: int) -> int:
        subject = f"$KV.vv_sessions.{key}"
        try:
            receipt = await self.store(subject, value, guard=port.Guard(subject, revision))
        except errors.LeaseLost as error:
            raise errors.WrongRevision(key) from error
        return receipt.sequence

    async def ping(self) -> None:
        self._check()

    async def aclose(self) -> None:
        self._closed = True
        for listener in self._mine:
            await _MemorySubscription(self.server, listener).aclose()

    def _stream(self, name: str, *, direct: bool = False) -> MemoryStream:
        stream = self.server.streams.get(name)
        if stream is None or (direct and not stream.allow_direct):
            raise errors.BusUnavailable(f"{name} does not answer")
        return stream

    def _check(self) -> None:
        if self._closed or self.server.down:
            raise errors.BusUnavailable("no answer from the bus")


class MemoryWorkQueue:
    """See `visavis_runtime.bus.WorkQueue`."""

    def __init__(
        self, bus: MemoryBus, server: MemoryServer, stream: str, consumer: MemoryConsumer
    ) -> None:
        self._bus, self._server, self._name = bus, server, stream
        self._stream, self._consumer = server.streams[stream], consumer

    async def fetch(self, timeout_s: float = 2.0) -> "MemoryWorkItem | None":
        deadline = time.monotonic() + min(timeout_s, self._server.longest_fetch_s)
        while True:
            self._bus._check()
            changed, now = self._server.changed, self._server.clock()
            taken = self._consumer.take(self._stream, now)
            for sequence, deliveries in self._consumer.exhausted(now):
                self.advise("MAX_DELIVERIES", sequence, deliveries)
            if taken:
                return MemoryWorkItem(self, *taken)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            with suppress(TimeoutError):
                wait_s = min(left_s, max(0.001, self._consumer.next_due(now) - now))
                await asyncio.wait_for(changed.wait(), wait_s)

    async def aclose(self) -> None:
        """Nothing is ever delivered and not fetched here."""

    def advise(self, kind: str, sequence: int, deliveries: int) -> None:
        self._server.advise(kind, self._name, self._consumer.name, sequence, deliveries)

    def settle(self, sequence: int, *, due_in_s: float | None) -> None:
        """Remove an item, or have it delivered again in `due_in_s`; by number only, as on NATS."""
        self._bus._check()
        if due_in_s is None:
            self._consumer.forget(sequence)
            self._stream.remove(sequence)
        else:
            self._consumer.postpone(sequence, self._server.clock() + due_in_s)
        self._server.tick()

    @property
    def waiting(self) -> int:
        return self._consumer.waiting(self._stream, self._server.clock())

    @property
    def ack_wait_s(self) -> float:
        return self._consumer.ack_wait_s


class MemoryWorkItem:
    """See `visavis_runtime.bus.WorkItem`."""

    def __init__(self, queue: MemoryWorkQueue, stored: port.Stored, deliveries: int) -> None:
        self._queue, self.deliveries, self.waiting = queue, deliveries, queue.waiting
        self.subject, self.data = stored.subject, stored.data
        self.sequence, self.time_s = stored.sequence, stored.time_s

    async def ack(self) -> None:
        self._queue.settle(self.sequence, due_in_s=None)

    async def nak(self, delay_s: float = 0.0) -> None:
        self._queue.settle(self.sequence, due_in_s=delay_s)

    async def term(self) -> None:
        await self.ack()
        self._queue.advise("MSG_TERMINATED", self.sequence, self.deliveries)

    async def renew(self) -> None:
        self._queue.settle(self.sequence, due_in_s=self._queue.ack_wait_s)


class _MemorySubscription:
    def __init__(self, server: MemoryServer, listener: _Listener) -> None:
        self._server, self._listener = server, listener

    async def aclose(self) -> None:
        if self._listener in self._server.listeners:
            self._server.listeners.remove(self._listener)
