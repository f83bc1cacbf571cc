"""The bus port on NATS JetStream; the only file of the services that imports nats."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import partial, partialmethod
from typing import Any, Self

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from visavis_runtime import bus as port
from visavis_runtime import errors, log
from visavis_runtime.subjects import SESSIONS, SESSIONS_STREAM

logger = log.get(__name__)

_IN_FLIGHT = (10164, 10158)
_REFUSALS: dict[int | type[Exception], type[errors.BusError]] = {
    10071: errors.LeaseLost,  # wrong last sequence
    10077: errors.SubjectTaken,  # maximum messages per subject exceeded
    10054: errors.TooLarge,  # message size exceeds maximum allowed
    nats.errors.MaxPayloadError: errors.TooLarge,
}
_ATTEMPT_TIMEOUT_S = 2.0
_TELL_AGAIN_S = 10.0  # the same error; a wrong password fails four times a second
_BATCH = 500
# All others of nats-py's own errors pass: the same write is tried again with the same id.
_LASTING = (nats.errors.ConnectionClosedError, nats.errors.BadSubjectError)


class NatsBus(port.Bus):
    """See `visavis_runtime.bus.Bus`."""

    def __init__(self) -> None:
        self._client = Client()
        self._js = self._client.jetstream(timeout=_ATTEMPT_TIMEOUT_S)
        self._violation = ""
        self._told: dict[str, float] = {}

    async def connect(self, url: str, *, name: str, user: str = "", password: str = "") -> Self:
        """Connect to the server, waiting for it for as long as it takes; `ping` says why.

        `name` shows in the server's monitoring. Reconnects for ever: nats-py's default gives up
        after 60 tries. A frozen server is noticed after two pings without an answer.
        """
        options: dict[str, Any] = {"user": user, "password": password} if user else {}
        await self._client.connect(
            url,
            name=name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # a fraction is fine at run time
            ping_interval=5,
            max_outstanding_pings=2,
            inbox_prefix=f"_INBOX_{user or name}",  # the one that the user may listen to
            error_cb=self._on_error,
            disconnected_cb=partial(logger.awarning, "bus.disconnected"),
            reconnected_cb=partial(logger.awarning, "bus.reconnected"),
            **options,
        )
        return self

    async def _on_error(self, error: Exception) -> None:
        """Take in what nats-py tells nobody else, violations of permissions among it."""
        now = time.monotonic()
        self._told = {what: at for what, at in self._told.items() if now - at < _TELL_AGAIN_S}
        if self._told.setdefault(repr(error), now) == now:
            logger.error("bus.error", error=repr(error))
        if "permissions violation" in str(error).lower():
            self._violation = str(error)

    async def publish(self, subject: str, data: bytes) -> bool:
        # nats-py would keep it and burst it out after the reconnect, stale by then.
        if not self._client.is_connected:
            return False
        try:
            await self._client.publish(subject, data)
        except nats.errors.MaxPayloadError as error:
            raise errors.TooLarge(f"{len(data)} bytes on {subject}") from error
        except nats.errors.Error:
            return False
        return True

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: port.Guard | None = None
    ) -> port.Receipt:
        headers = {"Nats-Msg-Id": message_id} if message_id else {}
        if guard:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(guard.sequence)
            headers["Nats-Expected-Last-Subject-Sequence-Subject"] = guard.subject
        deadline = time.monotonic() + port.STORE_BUDGET_S
        pause_s = 0.05
        while True:
            try:
                answer = await self._js.publish(subject, data, headers=headers or None)
                return port.Receipt(answer.seq, bool(answer.duplicate))
            except nats.errors.Error as error:
                # By number before by class: nats-py calls 10077 a ServiceUnavailableError.
                kind = getattr(error, "err_code", None) or type(error)
                if kind in _REFUSALS:
                    raise _REFUSALS[kind](subject) from error
                self._check_permissions()
                is_lasting = kind in _LASTING or getattr(error, "code", 503) != 503
                is_busy = kind in _IN_FLIGHT
                if (is_lasting and not is_busy) or time.monotonic() > deadline:
                    raise errors.BusUnavailable(f"{subject}: {error!r}") from error
                pause_s = 0.02 if is_busy else min(pause_s * 2, 1.0)
            await asyncio.sleep(pause_s)

    async def work(self, stream: str, consumer: str) -> "NatsWorkQueue":
        with _unavailable(f"no consumer {consumer} on {stream}"):
            await self._js.consumer_info(stream, consumer, timeout=_ATTEMPT_TIMEOUT_S)
            subscription = await self._js.pull_subscribe_bind(consumer=consumer, stream=stream)
        return NatsWorkQueue(self._client, subscription)

    async def subscribe(self, subject: str, handler: port.Handler) -> port.Subscription:
        async def deliver(msg: Msg) -> None:
            handler(port.Message(msg.subject, msg.data))

        return await self._listen(subject, "", deliver)

    async def serve(
        self, subject: str, responder: port.Responder, *, queue: str = ""
    ) -> port.Subscription:
        async def answer(msg: Msg) -> None:
            try:
                await msg.respond(await responder(port.Message(msg.subject, msg.data)))
            except Exception:  # the outermost loop of a request: who asked runs into the timeout
                logger.exception("bus.responder_failed", subject=msg.subject)

        running: set[asyncio.Task[None]] = set()

        async def deliver(msg: Msg) -> None:
            running.add(task := asyncio.create_task(answer(msg)))
            task.add_done_callback(running.discard)

        return await self._listen(subject, queue, deliver)

    async def _listen(
        self, subject: str, queue: str, deliver: Callable[[Msg], Awaitable[None]]
    ) -> port.Subscription:
        with _unavailable(subject):
            subscription = await self._client.subscribe(
                subject, queue=queue, cb=deliver, pending_bytes_limit=16 * 1024 * 1024
            )
        # Only now has the server seen the subscription, and refused it if it does.
        await self.ping()
        return _Closing(subscription)

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        with _unavailable(subject):
            try:
                return (await self._client.request(subject, data, timeout=timeout_s)).data
            except nats.errors.NoRespondersError as error:
                raise errors.NobodyThere(subject) from error

    async def last(self, stream: str, subject: str, *, leader: bool = False) -> port.Stored | None:
        with _unavailable(f"cannot read {subject}"):
            try:
                msg = await self._js.get_last_msg(stream, subject, direct=not leader)
            except nats.js.errors.NotFoundError as error:
                if error.err_code == 10059:  # not the message is missing but the stream
                    raise
                return None
        time_s = msg.time.timestamp() if msg.time else 0.0
        return port.Stored(msg.subject or subject, msg.data or b"", msg.seq or 0, time_s)

    async def replay(
        self, stream: str, subject: str, from_sequence: int = 1
    ) -> AsyncIterator[port.Stored]:
        sequence, pending = max(1, from_sequence), 1
        while pending:
            batch, pending = await self._direct_batch(stream, subject, sequence)
            for stored in batch:
                yield stored
                sequence = stored.sequence + 1

    async def _direct_batch(
        self, stream: str, subject: str, sequence: int
    ) -> tuple[list[port.Stored], int]:
        """One batched direct get (ADR-31): the messages, and how many are left after them."""
        ask = {"next_by_subj": subject, "seq": sequence, "batch": _BATCH}
        found: list[port.Stored] = []
        with _unavailable(f"replay of {subject}"):
            where = f"$JS.API.DIRECT.GET.{stream}"
            async with self._answers(where, json.dumps(ask).encode()) as answers:
                while True:
                    msg = await answers.next_msg(timeout=_ATTEMPT_TIMEOUT_S)
                    headers = msg.headers or {}
                    status = headers.get("Status")
                    if status in ("204", "404"):
                        return found, int(headers.get("Nats-Num-Pending") or 0)
                    if status:
                        raise errors.BusUnavailable(f"replay of {subject}: {headers}")
                    time_s = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
                    place = headers["Nats-Subject"], msg.data, int(headers["Nats-Sequence"])
                    found.append(port.Stored(*place, time_s))

    async def read(self, key: str) -> port.Entry | None:
        # From the leader: a compare-and-set on a lagging replica's answer would only fail.
        stored = await self.last(SESSIONS_STREAM, SESSIONS + key, leader=True)
        return port.Entry(stored.data, stored.sequence) if stored else None

    async def update(self, key: str, value: bytes, revision: int) -> int:
        subject = SESSIONS + key
        try:
            receipt = await self.store(subject, value, guard=port.Guard(subject, revision))
        except errors.LeaseLost as error:
            raise errors.WrongRevision(key) from error
        return receipt.sequence

    async def ping(self) -> None:
        # An echo, not flush() or is_connected: a PING overtakes what is buffered, and nats-py still
        # calls itself connected after its read loop has failed.
        if not self._client.is_connected:
            raise errors.BusUnavailable(f"no connection: {'; '.join(self._told)}")
        with _unavailable("no answer from the bus"):
            async with self._answers("", b"") as answers:
                await answers.next_msg(timeout=_ATTEMPT_TIMEOUT_S)
        self._check_permissions()

    async def aclose(self) -> None:
        with suppress(OSError):  # the server is away
            await self._client.close()

    @asynccontextmanager
    async def _answers(self, subject: str, data: bytes) -> AsyncIterator[Subscription]:
        """Ask for any number of answers; an empty `subject` asks oneself."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        try:
            await self._client.publish(subject or inbox, data, reply=inbox)
            yield subscription
        finally:
            await _Closing(subscription).aclose()

    def _check_permissions(self) -> None:
        if self._violation:
            raise errors.Forbidden(self._violation)


class NatsWorkQueue:
    """See `visavis_runtime.bus.WorkQueue`."""

    def __init__(self, client: Client, subscription: JetStreamContext.PullSubscription) -> None:
        self._client, self._subscription = client, subscription

    async def fetch(self, timeout_s: float = 2.0) -> "NatsWorkItem | None":
        with _unavailable("fetch failed"):
            try:
                (msg,) = await self._subscription.fetch(1, timeout=timeout_s)
            except nats.errors.TimeoutError:
                return None
        return NatsWorkItem(self._client, msg)

    async def aclose(self) -> None:
        with suppress(errors.BusError):
            while self._subscription.pending_msgs:
                if item := await self.fetch(timeout_s=0.1):
                    await item.nak()
        await _Closing(self._subscription).aclose()


class NatsWorkItem:
    """See `visavis_runtime.bus.WorkItem`."""

    def __init__(self, client: Client, msg: Msg) -> None:
        self._client, self._reply = client, msg.reply
        self.subject, self.data = msg.subject, msg.data
        self.sequence = msg.metadata.sequence.stream
        self.deliveries = msg.metadata.num_delivered or 1
        self.waiting = msg.metadata.num_pending or 0
        self.time_s = msg.metadata.timestamp.timestamp()

    async def _confirmed(self, verb: str) -> None:
        with _unavailable(f"{verb} not confirmed"):
            await self._client.request(self._reply, verb.encode(), timeout=1.0)

    async def nak(self, delay_s: float = 0.0) -> None:
        await self._confirmed(f'-NAK {{"delay": {int(delay_s * 1e9)}}}')

    ack = partialmethod(_confirmed, "+ACK")
    term = partialmethod(_confirmed, "+TERM")
    renew = partialmethod(_confirmed, "+WPI")


class _Closing:
    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    async def aclose(self) -> None:
        with suppress(nats.errors.Error):  # the connection is gone, and with it the subscription
            await self._subscription.unsubscribe()


@contextmanager
def _unavailable(what: str) -> Iterator[None]:
    """Raise BusUnavailable for whatever nats-py raises."""
    try:
        yield
    except nats.errors.Error as error:
        raise errors.BusUnavailable(f"{what}: {error!r}") from error
