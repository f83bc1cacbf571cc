"""Create or update the streams and consumers of `streams.yaml`; safe to repeat, also at once.

Reads VISAVIS_NATS_URL (VISAVIS_NATS_USER and VISAVIS_NATS_PASSWORD where the server wants them),
VISAVIS_NATS_REPLICAS (1, or 3 in a cluster) and VISAVIS_LEASE_SECONDS (the ack wait of the lease).
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import nats
import yaml
from nats.js import JetStreamContext, api
from nats.js.errors import BadRequestError, NotFoundError

DECLARATION = Path(__file__).with_name("streams.yaml")
EXIT_CONFIG = 78


def main() -> None:
    """Provision the server named by the environment."""
    url = os.environ.get("VISAVIS_NATS_URL")
    if not url:
        sys.exit("VISAVIS_NATS_URL: missing; the address of the bus, nats://host:port")
    replicas = int(os.environ.get("VISAVIS_NATS_REPLICAS", "1"))
    lease_s = float(os.environ.get("VISAVIS_LEASE_SECONDS", "0")) or None
    asyncio.run(provision(url, replicas=replicas, lease_s=lease_s))
    print(f"streams and consumers are in place ({replicas} replica{'s' * (replicas > 1)})")


async def provision(url: str, *, replicas: int = 1, lease_s: float | None = None) -> None:
    """Bring the server to the declared state; raises ValueError for a declaration that cannot hold."""
    declared = yaml.safe_load(DECLARATION.read_text())
    check(declared)
    options: dict[str, Any] = {"max_reconnect_attempts": 60, "reconnect_time_wait": 0.25}
    if user := os.environ.get("VISAVIS_NATS_USER"):
        options |= {"user": user, "password": os.environ.get("VISAVIS_NATS_PASSWORD", "")}
        options |= {"inbox_prefix": f"_INBOX_{user}"}
    client = await nats.connect(url, **options)
    try:
        js = client.jetstream(timeout=10)
        for name, stream in declared["streams"].items():
            await _stream(js, stream_config(name, stream, replicas))
            for consumer, numbers in stream.get("consumers", {}).items():
                await js.add_consumer(name, consumer_config(consumer, numbers, lease_s))
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


def stream_config(name: str, stream: dict[str, Any], replicas: int) -> api.StreamConfig:
    """The server's form of one declared stream."""
    memory = stream.get("storage") == "memory_in_cluster" and replicas > 1
    given = {
        key: stream[key]
        for key in (
            "subjects max_msg_size max_bytes max_msgs_per_subject max_consumers "
            "discard_new_per_subject allow_direct deny_delete allow_rollup_hdrs"
        ).split()
        if key in stream
    }
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


async def _stream(js: JetStreamContext, config: api.StreamConfig) -> None:
    assert config.name
    try:
        await js.stream_info(config.name)
    except NotFoundError:
        try:
            await js.add_stream(config)
            return
        except BadRequestError:
            pass  # somebody else was faster: bring theirs to our numbers
    await js.update_stream(config)


if __name__ == "__main__":
    main()
