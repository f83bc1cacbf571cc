"""Create or update the streams and consumers of `streams.yaml`; safe to repeat, also at once.

Reads VISAVIS_NATS_URL (VISAVIS_NATS_USER and VISAVIS_NATS_PASSWORD where the server wants them),
VISAVIS_NATS_REPLICAS (1, or 3 in a cluster) and VISAVIS_LEASE_SECONDS (the ack wait of the lease).
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import nats
import yaml
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext, api
from nats.js.errors import BadRequestError, NotFoundError, ServerError, ServiceUnavailableError

DECLARATION = Path(__file__).with_name("streams.yaml")
EXIT_CONFIG = 78
AS_DECLARED = (
    *("subjects", "max_msg_size", "max_bytes", "max_msgs_per_subject", "max_consumers"),
    *("discard_new_per_subject", "allow_direct", "deny_delete", "allow_rollup_hdrs"),
)
ATTEMPT_S = 3.0
BUDGET_S = 45.0


def main() -> None:
    """Provision the server named by the environment."""
    url = os.environ.get("VISAVIS_NATS_URL") or _refuse("VISAVIS_NATS_URL", "missing")
    replicas = int(_number("VISAVIS_NATS_REPLICAS", 1))
    lease_s = _number("VISAVIS_LEASE_SECONDS", 0) or None
    asyncio.run(provision(url, replicas=replicas, lease_s=lease_s))
    print(f"streams and consumers are in place ({replicas} replica{'s' * (replicas > 1)})")


def _number(variable: str, default: float) -> float:
    given = os.environ.get(variable) or default
    try:
        return float(given)
    except ValueError:
        _refuse(variable, f"not a number: {given}")


def _refuse(variable: str, why: str) -> NoReturn:
    print(f"{variable}: {why}", file=sys.stderr)
    sys.exit(EXIT_CONFIG)


async def provision(url: str, *, replicas: int = 1, lease_s: float | None = None) -> None:
    """Bring the server to the declared state; ValueError for numbers that cannot hold."""
    declared = yaml.safe_load(DECLARATION.read_text())
    check(declared)
    options: dict[str, Any] = {"max_reconnect_attempts": 60, "reconnect_time_wait": 0.25}
    if user := os.environ.get("VISAVIS_NATS_USER"):
        options |= {"user": user, "password": os.environ.get("VISAVIS_NATS_PASSWORD", "")}
        options |= {"inbox_prefix": f"_INBOX_{user}"}
    client = await nats.connect(url, **options)
    try:
        js = client.jetstream(timeout=ATTEMPT_S)
        for name, stream in declared["streams"].items():
            await _insist(partial(_stream, js, stream_config(name, stream, replicas)))
            for consumer, numbers in stream.get("consumers", {}).items():
                config = consumer_config(consumer, numbers, lease_s)
                await _insist(partial(js.add_consumer, name, config))
    finally:
        await client.close()


def check(declared: dict[str, Any]) -> None:
    """Refuse numbers that would break the guard or that the server would refuse."""
    streams = declared["streams"]
    if streams["VV_EVENTS"]["max_age_s"] <= declared["longest_session_s"] + 3600:
        raise ValueError("VV_EVENTS.max_age_s: must exceed longest_session_s by more than an hour")
    for name, stream in streams.items():
        if stream["duplicate_window_s"] > stream["max_age_s"]:
            raise ValueError(f"{name}.duplicate_window_s: must not exceed max_age_s")
        if stream["max_consumers"] < 1:
            raise ValueError(f"{name}.max_consumers: must be set, else the server's 1000 holds")


def stream_config(name: str, stream: dict[str, Any], replicas: int) -> api.StreamConfig:
    """The server's form of one declared stream."""
    memory = stream.get("storage") == "memory_in_cluster" and replicas > 1
    given = {key: stream[key] for key in AS_DECLARED if key in stream}
    return api.StreamConfig(
        name=name,
        retention=api.RetentionPolicy(stream.get("retention", "limits")),
        discard=api.DiscardPolicy(stream.get("discard", "old")),
        storage=api.StorageType.MEMORY if memory else api.StorageType.FILE,
        num_replicas=min(replicas, stream.get("replicas", replicas)),
        max_age=stream["max_age_s"],
        duplicate_window=stream["duplicate_window_s"],
        **given,
    )


def consumer_config(
    name: str, numbers: dict[str, Any], lease_s: float | None
) -> api.ConsumerConfig:
    """The server's form of one declared consumer; `lease_s` replaces the lease's ack wait."""
    ack_wait_s = lease_s if name == "egress" and lease_s else numbers["ack_wait_s"]
    return api.ConsumerConfig(
        durable_name=name,
        filter_subject=numbers["filter"],
        ack_policy=api.AckPolicy.EXPLICIT,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_wait=ack_wait_s,
        max_deliver=numbers["max_deliver"],
        max_ack_pending=100_000,
        max_waiting=2048,
    )


async def _insist(change: Callable[[], Awaitable[Any]]) -> None:
    """Make a change; again while the cluster has no leader for it or leaves the request unanswered.

    A consumer of a stream that was created a moment ago is such a case (seen on three nodes).
    """
    deadline = time.monotonic() + BUDGET_S
    while True:
        try:
            await change()
            return
        except (NatsTimeout, ServiceUnavailableError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _stream(js: JetStreamContext, config: api.StreamConfig) -> None:
    try:
        await js.update_stream(config)
    except NotFoundError:
        try:
            await js.add_stream(config)
        except (BadRequestError, ServerError) as refusal:
            # Somebody else may have been faster: bring theirs to our numbers. Not only "name in
            # use" (10058) says so: the reserved bytes are counted first (10047).
            try:
                await js.update_stream(config)
            except NotFoundError:
                raise refusal from None


if __name__ == "__main__":
    main()
