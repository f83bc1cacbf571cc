"""The HTTP side of the session API as a process: token endpoint, page, page facts, refusals."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from deploy.nats.provision import provision
from tests.support.servers import running_nats
from tests.support.stand_in_worker import StandInWorker
from tests.support.token_server import LIVEKIT_SECRET, LIVEKIT_URL, SECRET
from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_local.ports import free_port
from visavis_local.stack import LocalStack
from visavis_runtime import nats_bus
from visavis_token.page import BUILT

ELSEWHERE = "https://app.example"


@dataclass
class Door:
    """One process of the service. `worker` takes what it offers once it is at work."""

    client: aiohttp.ClientSession
    worker: StandInWorker

    async def ask(self, body: Any, **headers: str) -> tuple[int, dict[str, Any], Any]:
        """Status, answer and headers of POST /token."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.post("/token", json=body, headers=named) as response:
            return response.status, await response.json(), response.headers

    async def spec(self, session_id: str) -> pipeline.SessionSpec:
        entry = await self.worker.bus.read(f"{session_id}.spec")
        assert entry
        return pipeline.SessionSpec.FromString(entry.value)


@asynccontextmanager
async def _open(folder: Path, nats_url: str, **settings: str) -> AsyncIterator[Door]:
    layout = LocalStack.create(folder, {"VISAVIS_LOCAL_SECRET": LIVEKIT_SECRET})
    environ = {
        "VISAVIS_NATS_URL": nats_url,
        "VISAVIS_LIVEKIT_PUBLIC_URL": LIVEKIT_URL,
        "VISAVIS_API_KEYS": f"one:{SECRET}",
        "VISAVIS_HTTP_ORIGINS": ELSEWHERE,
    }
    process = layout.process("token", 0, environ | settings)
    await asyncio.to_thread(process.start)
    bus = await nats_bus.NatsBus().connect(nats_url, name="token-http-test")
    try:
        async with aiohttp.ClientSession(layout.page_url) as client:
            yield Door(client, StandInWorker(bus))
    finally:
        await bus.aclose()
        await asyncio.to_thread(process.stop)
    assert process.exit_status == 0, process.tail()


@pytest.fixture
async def nats_url() -> AsyncIterator[str]:
    """A bus of its own."""
    async with running_nats() as nats:
        await provision(nats.url)
        yield nats.url


@pytest.fixture
async def door(tmp_path: Path, nats_url: str) -> AsyncIterator[Door]:
    """The public demo, with a worker that takes every session."""
    async with _open(tmp_path, nats_url) as one, one.worker.at_work():
        yield one


def _standard(room: str = "", identity: str = "", character: str = "ada") -> dict[str, Any]:
    body: dict[str, Any] = {"room_config": {"agents": [{"agent_name": character}]}}
    return body | ({"room_name": room} if room else {}) | _person(identity)


def _person(identity: str) -> dict[str, str]:
    return {"participant_identity": identity} if identity else {}


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, LIVEKIT_SECRET, algorithms=["HS256"])
    return claims


async def test_the_standard_endpoint_gives_a_room_of_the_named_character(door: Door) -> None:
    more = {"participant_name": "Ann", "participant_metadata": '{"a": 1}', "unknown": 1}
    status, answer, headers = await door.ask(_standard("lobby", "ann") | more)
    assert status == 201
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Cache-Control"] == "no-store"
    assert answer["server_url"] == LIVEKIT_URL
    about = answer["visavis"]
    claims = _claims(answer["participant_token"])
    assert claims["video"]["room"] == about["session_id"]
    assert (claims["sub"], claims["name"], claims["metadata"]) == ("ann", "Ann", '{"a": 1}')
    assert about["avatar"] == {
        "provider": "none", "mode": "audio_only", "app_id": "", "avatar_id": "", "region": "",
    }  # fmt: skip
    assert about["expires_at"].endswith("+00:00")
    assert about["turn_taking"] == {"profile": "patient"}
    spec = await door.spec(about["session_id"])
    assert (spec.character, spec.participant_identity) == ("ada", "ann")
    assert dict(spec.metadata) == {"room_name": "lobby"}


async def test_the_vendors_room_demo_is_answered_in_its_own_shape(door: Door) -> None:
    """The request and the answer of the web client of Spatius' livekit-room-demo."""
    status, answer, _ = await door.ask({"room": "pure-rtc-room", "identity": ""})
    assert status == 200
    sid = answer["visavis"]["session_id"]
    assert set(answer) == {"token", "url", "room", "identity", "visavis"}
    assert (answer["url"], answer["room"]) == (LIVEKIT_URL, sid)
    claims = _claims(answer["token"])
    assert claims["sub"] == answer["identity"] == f"person-{sid}"
    assert claims["video"]["room"] == sid
    assert (await door.spec(sid)).character == "nova"
    _, named, _ = await door.ask({"room": "pure-rtc-room", "identity": "browser-dev"})
    _, again, _ = await door.ask({"room": "pure-rtc-room", "identity": "browser-dev"})
    assert named["identity"] == "browser-dev"
    assert named["room"] == again["room"] != sid


async def test_room_and_identity_are_one_session_until_it_ends(door: Door) -> None:
    async def session(room: str, identity: str) -> str:
        _, answer, _ = await door.ask(_standard(room, identity))
        return str(answer["visavis"]["session_id"])

    first = await session("lobby", "ann")
    assert await asyncio.gather(*(session("lobby", "ann") for _ in range(3))) == [first] * 3
    assert len({first, await session("lobby", "bob"), await session("attic", "ann")}) == 3
    for _ in range(2):  # ended twice, begun anew twice
        await door.worker.change(first, api.SESSION_STATE_ENDED)
        news = await asyncio.gather(*(session("lobby", "ann") for _ in range(4)))
        assert len(set(news)) == 1
        assert news[0] != first
        first = news[0]
    # Nobody can say who comes back without a name, or without a room.
    assert await session("lobby", "") != await session("lobby", "")
    assert await session("", "ann") != await session("", "ann")


async def test_who_is_bound_no_more_comes_back_as_themselves(door: Door) -> None:
    _, answer, _ = await door.ask({"room": "lobby", "identity": "ann"})
    sid, key = answer["room"], f"{answer['room']}.spec"
    entry = await door.worker.bus.read(key)
    assert entry
    spec = pipeline.SessionSpec.FromString(entry.value)
    spec.participant_identity = "bob"
    await door.worker.bus.update(key, spec.SerializeToString(), entry.revision)
    _, again, _ = await door.ask({"room": "lobby", "identity": "ann"})
    assert (again["room"], again["identity"]) == (sid, "ann")
    assert _claims(again["token"])["sub"] == "ann"


async def test_a_room_of_another_character_is_refused_while_it_lives(door: Door) -> None:
    await door.ask(_standard("lobby", "ann", "ada"))
    status, answer, _ = await door.ask(_standard("lobby", "ann", "nova"))
    assert (status, answer["error"]["code"]) == (409, "ROOM_TAKEN")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (_standard(character="nobody"), {"room_config.agents[0].agent_name"}),
        ({"room_config": []}, {"room_config"}),
        ({"room_config": {"agents": "nova"}}, {"room_config.agents"}),
        ({"room_config": {"agents": [{}, {}]}}, {"room_config.agents"}),
        (
            {"room_name": 7, "participant_identity": "x" * 65, "participant_name": "\n"},
            {"room_name", "participant_identity", "participant_name"},
        ),
        ({"participant_identity": "my-agent"}, {"participant_identity"}),
        ({"room": "a", "identity": "avatar-1"}, {"identity"}),
        ({"participant_attributes": {"ai_generated": "false"}}, {"participant_attributes"}),
        ({"participant_metadata": "x" * 4097}, {"participant_metadata"}),
        ([], {"body"}),
        ("x" * 70_000, {"body"}),
    ],
)
async def test_what_is_wrong_is_named(door: Door, body: Any, fields: set[str]) -> None:
    status, answer, _ = await door.ask(body)
    assert (status, set(answer["error"]["fields"])) == (400, fields)
    assert answer["error"]["code"] == "INVALID_REQUEST"


async def test_only_json_is_read(door: Door) -> None:
    for text, kind, field in (
        ("{}", "text/plain", "Content-Type"),
        ("{", "application/json", "body"),
        ("[" * 30_000, "application/json", "body"),
    ):
        headers = {"Content-Type": kind}
        async with door.client.post("/token", data=text, headers=headers) as response:
            assert response.status == 400
            assert set((await response.json())["error"]["fields"]) == {field}


async def test_an_empty_request_gets_the_default_character(door: Door) -> None:
    status, answer, _ = await door.ask({})
    assert status == 201
    assert (await door.spec(answer["visavis"]["session_id"])).character == "nova"


async def test_a_full_server_says_when_to_come_again(tmp_path: Path, nats_url: str) -> None:
    async with _open(tmp_path, nats_url) as door:
        began = time.monotonic()
        status, answer, headers = await door.ask(_standard("lobby", "ann"))
        assert time.monotonic() - began < 1.3
        assert (status, answer["error"]["code"]) == (503, "NO_FREE_SLOT")
        assert headers["Retry-After"] == "2"
        async with door.worker.at_work():
            status, _, _ = await door.ask(_standard("lobby", "ann"))
            assert status == 201


async def test_without_the_public_demo_a_key_is_needed(tmp_path: Path, nats_url: str) -> None:
    settings = {"VISAVIS_PUBLIC_DEMO": "0"}
    async with _open(tmp_path, nats_url, **settings) as door, door.worker.at_work():
        for wrong in ({}, {"Authorization": "Bearer nobodys"}, {"Authorization": SECRET}):
            status, answer, headers = await door.ask({}, **wrong)
            assert (status, answer["error"]["code"]) == (401, "API_KEY_INVALID")
            assert headers["WWW-Authenticate"] == "Bearer"
        status, answer, _ = await door.ask({}, Authorization=f"Bearer {SECRET}")
        assert status == 201
        assert (await door.spec(answer["visavis"]["session_id"])).key_id == "one"


async def test_the_public_demo_is_for_this_machine(door: Door) -> None:
    status, answer, _ = await door.ask({}, Host="rebound.example")
    assert (status, answer["error"]["code"]) == (403, "NOT_LOCAL")
    assert (await door.ask({}, Authorization="Bearer nobodys"))[0] == 401
    assert (await door.ask({}, Host="localhost:5173"))[0] == 201


async def test_pages_elsewhere_are_answered_only_as_configured(door: Door) -> None:
    allow = "Access-Control-Allow-Origin"
    asked = {"Access-Control-Request-Method": "POST"}
    for origin, status in ((ELSEWHERE, 204), ("https://other.example", 403)):
        headers = asked | {"Origin": origin}
        async with door.client.options("/token", headers=headers) as response:
            assert response.status == status
            assert response.headers.get(allow) == (origin if status == 204 else None)
        _, _, told = await door.ask({}, Origin=origin)
        assert told.get(allow) == (origin if status == 204 else None)
        assert told["Vary"] == "Origin"


async def test_the_page_its_files_and_its_facts(door: Door) -> None:
    async with door.client.get("/page.json") as response:
        facts = await response.json()
    assert [one["id"] for one in facts["characters"]] == ["nova", "ada"]
    assert facts["characters"][0]["name"] == "Nova"
    assert "AI" in facts["disclosure"]
    assert (facts["adapter_url"], facts["avatarkit_url"]) == ("", "")
    async with door.client.get("/") as response:
        text = await response.text()
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert f"connect-src 'self' {LIVEKIT_URL} http://127.0.0.1:7880;" in policy
        if BUILT.exists():
            assert response.status == 200
            assert "<html" in text
        else:
            assert response.status == 404
            assert "make setup" in text
    for path in ("/assets/nothing.js", "/assets/%2e%2e%2fpage.py", "/page.py"):
        async with door.client.get(path) as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("VISAVIS_HTTP_HOST", "0.0.0.0", "VISAVIS_PUBLIC_DEMO: gives sessions to everybody"),
        ("VISAVIS_DEFAULT_CHARACTER", "nobody", "VISAVIS_DEFAULT_CHARACTER: there is no character"),
    ],
)
async def test_what_cannot_be_stops_the_start_and_says_why(
    tmp_path: Path, variable: str, value: str, said: str
) -> None:
    layout = LocalStack.create(tmp_path, {"VISAVIS_LOCAL_SECRET": LIVEKIT_SECRET})
    process = layout.process("token", 0, {variable: value})
    started = await asyncio.create_subprocess_exec(
        *process.command,
        env=os.environ | dict(process.environ) | {"VISAVIS_HEALTH_PORT": str(free_port())},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(started.communicate(), 20)
    assert (started.returncode, errors.decode().startswith(said)) == (78, True), errors
