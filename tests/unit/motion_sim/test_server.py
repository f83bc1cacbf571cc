"""Console, ingress, limits and errors on demand, through the real SDK, without a room."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import spatius

from tests.unit.motion_sim.fake_stage import FakeRooms
from visavis_motion_sim.faults import FaultOrder, Refusal
from visavis_motion_sim.server import MotionSim
from visavis_motion_sim.settings import Settings
from visavis_motion_sim.stage import StageError

RATE_HZ = 24000
TENTH = bytes(RATE_HZ // 10 * 2)


def given(**changes: float) -> Settings:
    """Settings of a stand-in on a free port."""
    return Settings.model_validate({"api_key": "key", "port": 0, **changes})


@pytest.fixture(autouse=True)
def _no_telemetry() -> None:
    spatius.configure_telemetry("")


@pytest.fixture
def rooms() -> FakeRooms:
    return FakeRooms()


@pytest.fixture
def settings() -> Settings:
    return given(join_timeout_s=0.3)


@pytest.fixture
async def sim(settings: Settings, rooms: FakeRooms) -> AsyncIterator[MotionSim]:
    async with MotionSim(settings, rooms.join) as running:
        yield running


class Client:
    """One SDK session and what its callbacks said."""

    def __init__(self, sim: MotionSim, **changes: Any) -> None:
        self.errors: list[spatius.AvatarSDKError] = []
        self.closed = asyncio.Event()
        base = f"127.0.0.1:{sim.port}"
        egress = spatius.LiveKitEgressConfig(
            url="ws://unused",
            api_token="token",
            room_name="room",
            publisher_id="avatar-room-1",
            extra_attributes={"livekit_agent_identity": "agent-room"},
        )
        arguments: dict[str, Any] = {
            "avatar_id": "sim-avatar",
            "api_key": "key",
            "app_id": "sim-app",
            "sample_rate": RATE_HZ,
            "console_endpoint_url": f"http://{base}/v1/console",
            "ingress_endpoint_url": f"ws://{base}/v2/driveningress",
            "livekit_egress": egress,
            "on_error": self.errors.append,
            "on_close": self.closed.set,
        }
        self.session = spatius.new_avatar_session(**{**arguments, **changes})

    async def start(self) -> str:
        await self.session.init()
        return await self.session.start()

    async def refused(self) -> spatius.AvatarSDKError:
        """The error that starting raises."""
        with pytest.raises(spatius.AvatarSDKError) as caught:
            await self.start()
        await self.session.close()
        return caught.value


async def until(condition: Callable[[], bool]) -> None:
    """Look every 10 ms, at most 5 s."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def call(sim: MotionSim, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """One HTTP request to the stand-in."""
    url = f"http://127.0.0.1:{sim.port}{path}"
    async with aiohttp.ClientSession() as http, http.request(method, url, json=body) as answer:
        return answer.status, await answer.text()


async def test_a_session_plays_reports_and_leaves_the_room(
    sim: MotionSim, rooms: FakeRooms
) -> None:
    client = Client(sim)
    connection_id = await client.start()
    await client.session.send_audio(TENTH)
    await client.session.send_audio(b"", end=True)
    stage = rooms.stages[0]
    await until(lambda: len(stage.calls) == 2)
    assert stage.calls[0] == ("agent-room", "lk.playback_started", "")
    assert json.loads(stage.calls[1][2]) == {"playback_position": 0.1, "interrupted": False}
    assert [json.loads(packet)["pos_ms"] for packet in stage.packets][:2] == [0, 40]
    await client.session.close()
    await until(lambda: stage.left)
    (row,) = sim.stats.as_json()["connections"]
    assert (row["connection_id"], row["requests"], row["open"]) == (connection_id, 1, False)
    assert row["close_reason"] == "client"


async def test_the_request_after_an_interrupt_is_counted_and_harmless(
    sim: MotionSim, rooms: FakeRooms
) -> None:
    client = Client(sim)
    await client.start()
    await client.session.send_audio(TENTH * 20)
    await until(lambda: len(rooms.stages[0].calls) == 1)
    await client.session.interrupt()
    await client.session.send_audio(b"", end=True)
    await client.session.send_audio(TENTH, end=True)
    await until(lambda: len(rooms.stages[0].calls) == 4)
    payloads = [json.loads(payload) for _, _, payload in rooms.stages[0].calls if payload]
    assert [payload["interrupted"] for payload in payloads] == [True, False]
    await client.session.close()
    assert not client.errors
    await until(lambda: sim.stats.open_connections == 0)
    assert sim.stats.as_json()["phantom_requests"] == 1


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"api_key": "wrong"}, "invalidEgressConfig", 401),  # the SDK's reading of "unauthorized"
        ({"app_id": "wrong"}, "appIDUnrecognized", 404),
        ({"avatar_id": "wrong"}, "avatarNotFound", 404),
        ({"sample_rate": 12000}, "unsupportedSampleRate", None),
        ({"audio_format": "ogg_opus"}, "invalidRequest", None),
        ({"livekit_egress": None}, "invalidEgressConfig", None),
    ],
)
async def test_wrong_arguments_are_refused_as_the_sdk_names_them(
    sim: MotionSim, changes: dict[str, Any], code: str, status: int | None
) -> None:
    error = await Client(sim, **changes).refused()
    assert (error.code.value, error.http_status) == (code, status)
    assert sum(sim.stats.as_json()["refused"].values()) == 1


async def test_query_authentication_works(sim: MotionSim) -> None:
    client = Client(sim, use_query_auth=True)
    assert await client.start()
    await client.session.close()


async def test_a_token_opens_one_connection(sim: MotionSim) -> None:
    client = Client(sim)
    await client.start()
    second = Client(sim)
    second.session._session_token = client.session._session_token
    with pytest.raises(spatius.AvatarSDKError) as caught:
        await second.session.start()
    assert caught.value.code is spatius.AvatarSDKErrorCode.sessionTokenInvalid
    await client.session.close()


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal(code=4001, message="credits exhausted"), "creditsExhausted"),
        (Refusal(code=5, message="avatar not found"), "avatarNotFound"),
        (Refusal(http_status=402), "billingRequired"),
        (Refusal(http_status=503), "serverError"),
    ],
)
async def test_the_next_connection_is_refused_on_demand(
    sim: MotionSim, refusal: Refusal, code: str
) -> None:
    order = {"refuse_next": refusal.model_dump(mode="json")}
    assert (await call(sim, "POST", "/sim/faults", order))[0] == 200
    assert (await Client(sim).refused()).code.value == code
    client = Client(sim)
    await client.start()
    await client.session.close()


async def test_a_token_is_refused_on_demand(sim: MotionSim) -> None:
    sim.faults.order(FaultOrder(refuse_tokens=Refusal(http_status=500)))
    error = await Client(sim).refused()
    assert (error.phase, error.http_status) == ("session_token", 500)


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("drop", ["connectionClosed"]),
        ("idle", ["idleTimeout"]),
        ("duration", ["sessionDurationExceeded"]),
        ("normal", []),
    ],
)
async def test_open_sessions_are_closed_on_demand(
    sim: MotionSim, rooms: FakeRooms, kind: str, codes: list[str]
) -> None:
    client = Client(sim)
    connection_id = await client.start()
    assert await call(sim, "POST", "/sim/faults", {"close": kind}) == (200, '{"affected": 1}')
    await asyncio.wait_for(client.closed.wait(), 5)
    assert [error.code.value for error in client.errors] == codes
    if kind in ("idle", "duration"):
        assert client.errors[0].connection_id == connection_id
    await until(lambda: rooms.stages[0].left)
    assert sim.stats.as_json()["connections"][0]["close_reason"] == kind


async def test_an_error_on_demand_leaves_the_session_open(sim: MotionSim) -> None:
    client = Client(sim)
    await client.start()
    await call(sim, "POST", "/sim/faults", {"error": {"code": 13, "message": "odd"}})
    await until(lambda: bool(client.errors))
    assert client.errors[0].server_code == "13"
    assert not client.closed.is_set()
    await client.session.close()


async def test_playback_reports_are_lost_on_demand(sim: MotionSim, rooms: FakeRooms) -> None:
    client = Client(sim)
    await client.start()
    await call(sim, "POST", "/sim/faults", {"lose_rpcs": 1})
    await client.session.send_audio(TENTH, end=True)
    await until(lambda: len(rooms.stages[0].calls) == 1)
    assert rooms.stages[0].calls[0][1] == "lk.playback_finished"
    await client.session.close()


async def test_silence_and_duration_close_the_session(rooms: FakeRooms) -> None:
    for changes, code in (
        ({"idle_timeout_s": 0.3}, "idleTimeout"),
        ({"max_duration_s": 0.3}, "sessionDurationExceeded"),
    ):
        settings = given(**changes)
        async with MotionSim(settings, rooms.join) as sim:
            client = Client(sim)
            await client.start()
            await asyncio.wait_for(client.closed.wait(), 5)
            assert [error.code.value for error in client.errors] == [code]


async def test_playing_is_not_idle(rooms: FakeRooms) -> None:
    settings = given(idle_timeout_s=0.3)
    async with MotionSim(settings, rooms.join) as sim:
        client = Client(sim)
        await client.start()
        await client.session.send_audio(TENTH * 8, end=True)
        await until(lambda: len(rooms.stages[0].calls) == 2)
        assert not client.errors
        await client.session.close()


async def test_a_room_that_ends_the_connection_ends_the_session(
    sim: MotionSim, rooms: FakeRooms
) -> None:
    client = Client(sim)
    await client.start()
    rooms.stages[0].lost.set()
    await asyncio.wait_for(client.closed.wait(), 5)
    assert client.errors[0].code is spatius.AvatarSDKErrorCode.egressUnavailable


async def test_a_room_that_cannot_be_joined_is_an_egress_error(
    sim: MotionSim, rooms: FakeRooms
) -> None:
    rooms.failure = StageError("no such room")
    assert (await Client(sim).refused()).code.value == "egressUnavailable"
    rooms.failure = StageError("401", 16)
    assert (await Client(sim).refused()).code.value == "invalidEgressConfig"


async def test_a_join_that_comes_too_late_is_left_again(sim: MotionSim, rooms: FakeRooms) -> None:
    rooms.gate = asyncio.Event()
    assert (await Client(sim).refused()).code.value == "egressUnavailable"
    rooms.gate.set()
    await until(lambda: bool(rooms.stages) and rooms.stages[0].left)


async def test_the_concurrency_limit_is_kept(rooms: FakeRooms) -> None:
    async with MotionSim(given(max_sessions=1), rooms.join) as sim:
        first = Client(sim)
        await first.start()
        assert (await Client(sim).refused()).code.value == "billingRequired"
        await first.session.close()


async def test_malformed_messages_get_an_error_and_the_session_goes_on(
    sim: MotionSim, rooms: FakeRooms
) -> None:
    client = Client(sim)
    await client.start()
    socket: Any = client.session._connection
    await socket.send(b"\xff\xff")
    await socket.send("text")
    await client.session.send_audio(b"\1")
    await until(lambda: len(client.errors) == 3)
    assert {error.code.value for error in client.errors} == {"invalidRequest"}
    await client.session.send_audio(TENTH, end=True)
    await until(lambda: len(rooms.stages[0].calls) == 2)
    await client.session.close()


async def test_stopping_closes_all_sessions_and_leaves_all_rooms(rooms: FakeRooms) -> None:
    async with MotionSim(given(), rooms.join) as sim:
        clients = [Client(sim), Client(sim)]
        for client in clients:
            await client.start()
    assert all(stage.left for stage in rooms.stages)
    for client in clients:
        await asyncio.wait_for(client.closed.wait(), 5)


async def test_control_health_and_metrics_answer(sim: MotionSim) -> None:
    assert (await call(sim, "POST", "/sim/faults", {"nonsense": 1}))[0] == 400
    assert (await call(sim, "DELETE", "/sim/faults"))[0] == 200
    for path in ("/livez", "/readyz"):
        assert (await call(sim, "GET", path))[0] == 200
    assert "motion_sim_connections_total" in (await call(sim, "GET", "/metrics"))[1]
    stats = json.loads((await call(sim, "GET", "/sim/stats"))[1])
    assert stats["open_connections"] == 0


@pytest.mark.parametrize("body", [None, {"expireAt": 1}, {"expireAt": "x"}, []])
async def test_the_console_refuses_bad_bodies_in_the_vendors_shape(
    sim: MotionSim, body: Any
) -> None:
    url = f"http://127.0.0.1:{sim.port}/v1/console/session-tokens"
    headers = {"X-Api-Key": "key"}
    async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=headers) as got:
        assert got.status == 400
        assert set((await got.json())["errors"][0]) == {"status", "code", "title", "detail"}
