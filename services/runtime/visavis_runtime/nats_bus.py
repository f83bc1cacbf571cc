"""The bus port on NATS JetStream; the only file of the services that imports nats."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, cast

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from visavis_runtime import bus as port
from visavis_runtime import errors, log
from visavis_runtime.subjects import SESSIONS_STREAM, session_key_subject

logger = log.get(__name__)

_IN_FLIGHT = (10164, 10158)
_REFUSALS = {
    10071: errors.LeaseLost,  # wrong last sequence
    10077: errors.SubjectTaken,  # maximum messages per subject exceeded
    10054: errors.TooLarge,  # message size exceeds maximum allowed
}
_ATTEMPT_TIMEOUT_S = 2.0
_BATCH = 500
# Round trips that fail in passing: the same write is tried again with the same id.
_PASSING = (
    nats.errors.TimeoutError,
    nats.js.errors.NoStreamResponseError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.OutboundBufferLimitError,
)


async def connect(url: str, *, name: str, user: str = "", password: str = "") -> "NatsBus":
    """Connect to the server, waiting for it for as long as it takes.

    `name` shows in the server's monitoring. Reconnects for ever: nats-py's default gives up after 60 tries.
    """

    async def on_error(error: Exception) -> None:
        logger.error("bus.error", error=repr(error))

    async def on_disconnect() -> None:
        logger.warning("bus.disconnected")

    async def on_reconnect() -> None:
        logger.info("bus.reconnected")

    options: dict[str, Any] = {"user": user, "password": password} if user else {}
    client = await nats.connect(
        url,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,
        ping_interval=5,
        max_outstanding_pings=2,
        inbox_prefix=f"_INBOX_{name}",
        allow_reconnect=True,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        **options,
    )
    return NatsBus(client)


class NatsBus:
    """See `visavis_runtime.bus.Bus`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream(timeout=_ATTEMPT_TIMEOUT_S)

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
        headers = _headers(message_id, guard) or None
        deadline = time.monotonic() + port.STORE_BUDGET_S
        pause_s = 0.05
        while True:
            try:
                answer = await self._js.publish(subject, data, headers=headers)
                return port.Receipt(answer.seq, bool(answer.duplicate))
            except nats.errors.Error as error:
                if refusal := _refusal(subject, error):
                    raise refusal from error
                if time.monotonic() + pause_s > deadline:
                    raise errors.BusUnavailable(f"could not store on {subject}") from error
                busy = getattr(error, "err_code", None) in _IN_FLIGHT
            if not busy:
                pause_s = min(pause_s * 2, 1.0)
            await asyncio.sleep(0.02 if busy else pause_s)

    async def work(self, stream: str, consumer: str) -> "NatsWorkQueue":
        try:
            await self._js.consumer_info(stream, consumer, timeout=_ATTEMPT_TIMEOUT_S)
        except nats.js.errors.APIError as error:
            raise errors.BusUnavailable(f"no consumer {consumer} on {stream}: {error}") from error
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"cannot reach {stream}: {error!r}") from error
        subscription = await self._js.pull_subscribe_bind(consumer=consumer, stream=stream)
        return NatsWorkQueue(subscription)

    async def subscribe(self, subject: str, handler: port.Handler) -> port.Subscription:
        async def deliver(msg: Msg) -> None:
            handler(port.Message(msg.subject, msg.data))

        # Megabytes of slack, not the default's 128: a burst is better late than cut at its newest end.
        subscription = await self._client.subscribe(
            subject, cb=deliver, pending_bytes_limit=16 * 1024 * 1024
        )
        await self._barrier()
        return _Closing(subscription)

    async def serve(
        self, subject: str, responder: port.Responder, *, queue: str = ""
    ) -> port.Subscription:
        async def answer(msg: Msg) -> None:
            reply = await responder(port.Message(msg.subject, msg.data))
            await msg.respond(reply)

        running: set[asyncio.Task[None]] = set()

        async def deliver(msg: Msg) -> None:
            task = asyncio.create_task(answer(msg))
            running.add(task)
            task.add_done_callback(running.discard)

        subscription = await self._client.subscribe(subject, queue=queue, cb=deliver)
        await self._barrier()
        return _Closing(subscription)

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        try:
            return (await self._client.request(subject, data, timeout=timeout_s)).data
        except nats.errors.NoRespondersError as error:
            raise errors.NobodyThere(subject) from error
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"{subject}: {error!r}") from error

    async def last(self, stream: str, subject: str, *, leader: bool = False) -> port.Stored | None:
        try:
            msg = await self._js.get_last_msg(stream, subject, direct=not leader)
        except nats.js.errors.NotFoundError:
            return None
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"cannot read {subject}: {error!r}") from error
        return port.Stored(
            msg.subject or subject, msg.data or b"", msg.seq or 0, _unix_seconds(msg.time)
        )

    async def replay(
        self, stream: str, subject: str, from_sequence: int = port.ALL_FROM_START
    ) -> AsyncIterator[port.Stored]:
        sequence = max(1, from_sequence)
        while True:
            batch, pending = await self._direct_batch(stream, subject, sequence)
            for stored in batch:
                yield stored
                sequence = stored.sequence + 1
            if not batch or not pending:
                return

    async def _direct_batch(
        self, stream: str, subject: str, sequence: int
    ) -> tuple[list[port.Stored], int]:
        """One batched direct get (ADR-31); nats-py has no call for it. Returns messages and the rest's count."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        ask = {"next_by_subj": subject, "seq": sequence, "batch": _BATCH}
        found: list[port.Stored] = []
        try:
            await self._client.publish(
                f"$JS.API.DIRECT.GET.{stream}", json.dumps(ask).encode(), reply=inbox
            )
            while True:
                msg = await subscription.next_msg(timeout=_ATTEMPT_TIMEOUT_S)
                headers = msg.headers or {}
                status = headers.get("Status")
                if status in ("204", "404"):
                    return found, int(headers.get("Nats-Num-Pending") or 0)
                if status:
                    detail = headers.get("Description")
                    raise errors.BusUnavailable(f"replay of {subject}: {status} {detail}")
                found.append(_from_direct(msg))
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"replay of {subject}: {error!r}") from error
        finally:
            await subscription.unsubscribe()

    async def read(self, key: str) -> port.Entry | None:
        # From the leader: a compare-and-set on a lagging replica's answer would only fail.
        stored = await self.last(SESSIONS_STREAM, session_key_subject(key), leader=True)
        return port.Entry(stored.data, stored.sequence) if stored else None

    async def create(self, key: str, value: bytes) -> int:
        return await self.update(key, value, 0)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        subject = session_key_subject(key)
        try:
            receipt = await self.store(subject, value, guard=port.Guard(subject, revision))
        except errors.LeaseLost as error:
            raise errors.WrongRevision(key) from error
        return receipt.sequence

    async def ping(self) -> None:
        # A request, not flush(): after a failed read loop nats-py still calls itself connected.
        try:
            await self._client.request("$JS.API.INFO", b"", timeout=2.0)
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"no answer from the bus: {error!r}") from error

    async def aclose(self) -> None:
        await self._client.close()

    async def _barrier(self) -> None:
        """Return once the server has seen what was sent before; a PING overtakes buffered SUBs."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, max_msgs=1)
        try:
            await self._client.publish(inbox, b"")
            await subscription.next_msg(timeout=_ATTEMPT_TIMEOUT_S)
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"no answer from the bus: {error!r}") from error


class NatsWorkQueue:
    """See `visavis_runtime.bus.WorkQueue`."""

    def __init__(self, subscription: JetStreamContext.PullSubscription) -> None:
        self._subscription = subscription

    async def fetch(self, timeout_s: float = 2.0) -> "NatsWorkItem | None":
        try:
            (msg,) = await self._subscription.fetch(1, timeout=timeout_s)
        except nats.errors.TimeoutError:
            return None
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"fetch failed: {error!r}") from error
        return NatsWorkItem(self._client, msg)

    async def aclose(self) -> None:
        while self._subscription.pending_msgs:
            item = await self.fetch(timeout_s=0.1)
            if item:
                await item.nak()
        try:
            await self._subscription.unsubscribe()
        except nats.errors.Error:
            logger.debug("bus.unsubscribe_failed")

    @property
    def _client(self) -> Client:
        return cast(Client, self._subscription._nc)


class NatsWorkItem:
    """See `visavis_runtime.bus.WorkItem`."""

    def __init__(self, client: Client, msg: Msg) -> None:
        self._client = client
        self._reply = msg.reply
        self.subject = msg.subject
        self.data = msg.data
        self.sequence = msg.metadata.sequence.stream
        self.deliveries = msg.metadata.num_delivered or 1
        self.time_s = msg.metadata.timestamp.timestamp()

    async def ack(self) -> None:
        await self._confirmed(b"+ACK")

    async def nak(self, delay_s: float = 0.0) -> None:
        delay = f' {{"delay": {int(delay_s * 1e9)}}}' if delay_s else ""
        await self._confirmed(b"-NAK" + delay.encode())

    async def term(self) -> None:
        await self._confirmed(b"+TERM")

    async def renew(self) -> None:
        await self._confirmed(b"+WPI")

    async def _confirmed(self, verb: bytes) -> None:
        try:
            await self._client.request(self._reply, verb, timeout=1.0)
        except nats.errors.Error as error:
            raise errors.BusUnavailable(f"{verb.decode()} not confirmed: {error!r}") from error


class _Closing:
    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    async def aclose(self) -> None:
        try:
            await self._subscription.unsubscribe()
        except nats.errors.Error:
            logger.debug("bus.unsubscribe_failed")


def _headers(message_id: str, guard: port.Guard | None) -> dict[str, str]:
    headers = {"Nats-Msg-Id": message_id} if message_id else {}
    if guard:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(guard.sequence)
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = guard.subject
    return headers


def _refusal(subject: str, error: nats.errors.Error) -> errors.BusError | None:
    """The error to raise at once; None where trying again can help."""
    if isinstance(error, nats.errors.MaxPayloadError):
        return errors.TooLarge(subject)
    if not isinstance(error, nats.js.errors.APIError):
        is_passing = isinstance(error, _PASSING)
        return None if is_passing else errors.BusUnavailable(f"{subject}: {error!r}")
    # By number before by class: nats-py calls 10077 a ServiceUnavailableError.
    if error.err_code in _REFUSALS:
        return _REFUSALS[error.err_code](subject)
    is_passing = error.err_code in _IN_FLIGHT or error.code == 503
    return None if is_passing else errors.BusUnavailable(f"{subject}: {error}")


def _from_direct(msg: Msg) -> port.Stored:
    headers = msg.headers or {}
    moment = headers["Nats-Time-Stamp"]
    return port.Stored(
        headers["Nats-Subject"], msg.data, int(headers["Nats-Sequence"]), _unix_seconds(moment)
    )


def _unix_seconds(moment: str | datetime | None) -> float:
    if isinstance(moment, datetime):
        return moment.timestamp()
    if not moment:
        return 0.0
    # Nanoseconds are more than fromisoformat takes.
    text = moment.rstrip("Z")
    head, _, fraction = text.partition(".")
    return datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")
