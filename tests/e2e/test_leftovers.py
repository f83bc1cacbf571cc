"""After a session nothing of it is left: no room, no subscription, no connection, no thread."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit import api as livekit

from tests.support.conversation import World, room_admin, talk
from tests.support.openai_server import Reply
from tests.support.sim import Sim
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

SESSIONS = 3


@dataclass(frozen=True)
class Holdings:
    """What the system holds at one moment."""

    rooms: int
    subscriptions: int
    nats_connections: int
    consumers: int
    jobs: int
    sim_connections: int
    descriptors: int
    sockets: int
    threads: int


async def _get(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        found: dict[str, Any] = await response.json()
        return found


async def holdings(world: World) -> Holdings:
    """Ask every server, and the kernel about egress."""
    layout = world.stack.layout
    monitoring = f"http://127.0.0.1:{layout.ports['nats-monitoring']}"
    connections = await _get(f"{monitoring}/connz")
    streams = await _get(f"{monitoring}/jsz?streams=true&consumers=true")
    details = [one for account in streams["account_details"] for one in account["stream_detail"]]
    jobs = next(one for one in details if one["name"] == "VV_JOBS")
    async with room_admin(world) as admin:
        rooms = (await admin.room.list_rooms(livekit.ListRoomsRequest())).rooms
    process = Path(f"/proc/{world.stack.processes['egress'].pid}")
    descriptors = [_target(entry) for entry in (process / "fd").iterdir()]
    return Holdings(
        rooms=len(rooms),
        subscriptions=sum(one["subscriptions"] for one in connections["connections"]),
        nats_connections=connections["num_connections"],
        consumers=streams["consumers"],
        jobs=jobs["state"]["messages"],
        sim_connections=(await Sim(layout.motion_sim_url).stats())["open_connections"],
        descriptors=len(descriptors),
        sockets=sum(target.startswith("socket:") for target in descriptors),
        threads=len(list((process / "task").iterdir())),
    )


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return ""


async def settled(world: World, as_before: Holdings | None = None) -> Holdings:
    """What is held once nothing is being given back any more, or after ten seconds."""
    found = await holdings(world)
    for _ in range(20):
        is_over = not (found.rooms or found.jobs or found.sim_connections)
        if is_over and (as_before is None or found.subscriptions <= as_before.subscriptions):
            break
        await asyncio.sleep(0.5)
        found = await holdings(world)
    return found


async def session(world: World, *, ends: str) -> None:
    """One turn, then the end: by the API in the middle of an answer, or by it in silence."""
    async with talk(world) as one:
        await one.seated()
        world.model.replies.append(Reply("One, two, three, four, five, six, seven, eight, nine."))
        await one.ask("Please count to nine.")
        if ends == "in silence":
            await one.over(1)
        else:
            await one.caller.until(lambda: one.caller.observed.agent_state == "speaking")
        await world.api.end(one.session_id)
        assert await one.ended() == api.END_REASON_API
        await one.caller.until(lambda: one.caller.observed.disconnect_reason == "ROOM_DELETED")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
async def test_sessions_leave_nothing_behind(world: World) -> None:
    # What a process keeps from its first session is its own.
    await session(world, ends="in silence")
    before = await settled(world)
    assert (before.rooms, before.sim_connections, before.jobs) == (0, 0, 0)
    for number in range(SESSIONS):
        await session(world, ends="in silence" if number % 2 else "in the middle")
    after = await settled(world, before)
    print(before, after)
    assert (after.rooms, after.sim_connections, after.jobs) == (0, 0, 0)
    assert after.consumers == before.consumers == 4
    assert after.subscriptions <= before.subscriptions
    assert after.nats_connections == before.nats_connections
    assert after.descriptors <= before.descriptors + 3
    assert after.sockets <= before.sockets + 2
    assert after.threads <= before.threads + 2
