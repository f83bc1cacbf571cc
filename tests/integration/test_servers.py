"""The servers that the other tests stand on: they start, serve as configured, and leave nothing."""

import asyncio
import json
from urllib.request import urlopen

import nats
from livekit import api

from tests.support.servers import running_livekit, running_nats, running_nats_cluster
from visavis_local.processes import answers


async def test_nats_serves_jetstream_survives_a_restart_and_is_gone_afterwards() -> None:
    async with running_nats() as server:
        client = await nats.connect(server.url)
        await client.jetstream().add_stream(name="S", subjects=["s.>"])
        await client.jetstream().publish("s.1", b"kept")
        await client.close()
        assert client.max_payload == 1024 * 1024
        if server.process:
            await asyncio.to_thread(server.process.kill)
            await asyncio.to_thread(server.process.start)
        client = await nats.connect(server.url)
        assert (await client.jetstream().get_msg("S", 1)).data == b"kept"
        await client.close()
    assert not (server.process and server.process.running)


async def test_a_cluster_holds_three_replicas() -> None:
    async with running_nats_cluster() as servers:
        client = await nats.connect(servers[0].url)
        stream = await client.jetstream().add_stream(name="S", subjects=["s"], num_replicas=3)
        assert stream.cluster
        assert len(stream.cluster.replicas or []) == 2
        await client.jetstream().publish("s", b"x")
        await client.close()


async def test_livekit_serves_rooms_on_loopback_and_creates_none_by_itself() -> None:
    async with running_livekit() as server:
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
            assert not (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms
            await livekit.room.create_room(api.CreateRoomRequest(name="one"))
            assert len((await livekit.room.list_rooms(api.ListRoomsRequest())).rooms) == 1
            await livekit.room.delete_room(api.DeleteRoomRequest(room="one"))
        web = server.url.replace("ws://", "http://")
        assert answers(web)
    if server.process:
        assert not answers(web)


async def test_nats_shows_its_state_on_the_monitoring_port() -> None:
    async with running_nats() as server:
        if server.monitoring_url:
            state = await asyncio.to_thread(_get, f"{server.monitoring_url}/jsz")
            assert json.loads(state)["config"]["max_memory"] > 0


def _get(url: str) -> bytes:
    with urlopen(url, timeout=5) as response:
        return bytes(response.read())
