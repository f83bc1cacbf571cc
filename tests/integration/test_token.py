"""The session API over real gRPC and a real NATS server, with a stand-in for the workers."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from deploy.nats.provision import provision
from tests.support.servers import running_nats
from tests.support.session_api import SessionApi
from tests.support.stand_in_worker import AVATAR
from tests.support.token_server import OTHER_SECRET, SECRET, Setting, refused, serving
from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects
from visavis_runtime.bus import Bus
from visavis_token.ids import new_ulid
from visavis_token.server import SERVICE_NAME


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    """The API without any worker."""
    async with running_nats() as nats:
        await provision(nats.url)
        async with serving(nats.url) as one:
            yield one


@pytest.fixture
async def staffed(setting: Setting) -> AsyncIterator[Setting]:
    """The API with a worker that takes every session."""
    async with setting.worker.at_work():
        yield setting


def _event(**fact: object) -> pipeline.EventRecord:
    return pipeline.EventRecord(event=api.SessionEvent(**fact))  # type: ignore[arg-type]


ENDED = _event(session=api.SessionChanged(step=api.SessionChanged.STEP_ENDED))


def _said(text: str) -> pipeline.EventRecord:
    return _event(user=api.UserEvent(step=api.UserEvent.STEP_TRANSCRIPT, text=text))


async def test_create_gives_everything_that_a_browser_needs(staffed: Setting) -> None:
    overrides = api.SessionOverrides(greeting="Hi.")
    overrides.max_duration.FromSeconds(90)
    began = time.monotonic()
    made = await staffed.api.create("nova", metadata={"a": "b"}, overrides=overrides)
    assert time.monotonic() - began < 1.0  # the wait for a holder
    session = made.session
    assert session.state == api.SESSION_STATE_ACTIVE
    assert session.room == session.session_id
    assert session.participant_identity == f"person-{session.session_id}"
    assert (session.character, dict(session.metadata)) == ("nova", {"a": "b"})
    assert session.avatar == AVATAR
    assert session.expire_time.seconds - session.create_time.seconds == 90
    assert made.livekit_url == "ws://127.0.0.1:7880"
    assert made.participant_token.count(".") == 2
    assert abs(made.token_expire_time.seconds - time.time() - 600) < 5
    assert await staffed.api.get(session.session_id) == session
    entry = await staffed.bus.read(f"{session.session_id}.spec")
    assert entry
    spec = pipeline.SessionSpec.FromString(entry.value)
    assert (spec.key_id, spec.resolved.greeting, spec.resolved.voice) == ("one", "Hi.", "heart")


async def test_repeating_a_create_gives_the_same_session(staffed: Setting) -> None:
    calls = (staffed.api.create("nova", request_id="r1") for _ in range(5))
    made = await asyncio.gather(*calls)
    assert len({one.session.session_id for one in made}) == 1
    assert {one.session.state for one in made} == {api.SESSION_STATE_ACTIVE}
    other = await refused(staffed.api.create("ada", request_id="r1"))
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_TAKEN")
    async with SessionApi(staffed.address, OTHER_SECRET) as somebody_else:
        theirs = await somebody_else.create("ada", request_id="r1")
    assert theirs.session.session_id != made[0].session.session_id


async def test_without_a_worker_create_says_when_to_try_again(setting: Setting) -> None:
    began = time.monotonic()
    full = await refused(setting.api.create("nova", request_id="r1"))
    assert time.monotonic() - began < 1.2
    assert (full.code, full.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "NO_FREE_SLOT")
    assert full.retry_s == 2.0
    # The rejected session is offered again when its call is repeated, and then it is taken.
    async with setting.worker.at_work():
        again = await setting.api.create("nova", request_id="r1")
        assert again.session.state == api.SESSION_STATE_ACTIVE


async def test_a_job_about_to_be_given_up_does_not_stand_in_the_way(setting: Setting) -> None:
    await refused(setting.api.create("nova", request_id="r1"))
    queue = await setting.bus.work(subjects.JOBS, "egress")
    old = await queue.fetch()
    assert old
    again = asyncio.ensure_future(setting.api.create("nova", request_id="r1"))
    await asyncio.sleep(0.2)
    # The worker had read REJECTED before the repeat set the session back to CREATING.
    await old.ack()
    await queue.aclose()
    async with setting.worker.at_work():
        assert (await again).session.state == api.SESSION_STATE_ACTIVE


async def test_unknown_things_are_named(setting: Setting) -> None:
    sid = new_ulid()
    who = await refused(setting.api.create("nobody"))
    assert (who.code, who.fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        {"character": "CHARACTER_UNKNOWN"},
    )
    for call in (setting.api.get(sid), setting.api.end(sid), setting.api.say(sid, "x")):
        missing = await refused(call)
        assert (missing.code, missing.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    assert (await refused(_all(setting.api, sid))).code == grpc.StatusCode.NOT_FOUND
    assert (await refused(setting.api.get(">"))).fields == {"session_id": "MALFORMED"}


@pytest.mark.parametrize("secret", ["", "wrong-secret-of-nobody", f"one:{SECRET}"])
async def test_without_a_key_nothing_is_told(setting: Setting, secret: str) -> None:
    async with SessionApi(setting.address, secret) as stranger:
        for call in (stranger.create("nobody"), stranger.get(new_ulid()), _all(stranger, "x")):
            found = await refused(call)
            assert found.code == grpc.StatusCode.UNAUTHENTICATED
            assert found.reason == "API_KEY_INVALID"


async def test_end_hurries_the_holder_and_can_be_repeated(staffed: Setting) -> None:
    sid = await staffed.settled()
    control = await staffed.bus.serve(subjects.control(sid), staffed.worker.answer)
    assert (await staffed.api.end(sid)).state == api.SESSION_STATE_ENDING
    assert [request.WhichOneof("call") for request in staffed.worker.asked] == ["end"]
    assert (await staffed.api.end(sid)).state == api.SESSION_STATE_ENDING
    await staffed.worker.change(sid, api.SESSION_STATE_ENDED)
    ended = await staffed.api.end(sid)
    assert (ended.state, ended.end_reason) == (api.SESSION_STATE_ENDED, api.END_REASON_API)
    over = await refused(staffed.api.say(sid, "too late"))
    assert (over.code, over.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_OVER")
    await control.aclose()


async def test_end_without_a_holder_is_remembered(staffed: Setting) -> None:
    sid = await staffed.settled()
    assert (await staffed.api.end(sid)).state == api.SESSION_STATE_ENDING
    entry = await staffed.bus.read(f"{sid}.spec")
    assert entry
    spec = pipeline.SessionSpec.FromString(entry.value)
    assert (spec.end_requested, spec.end_reason) == (True, api.END_REASON_API)


async def test_a_session_ended_while_it_is_created_stays_ended(setting: Setting) -> None:
    creating = asyncio.ensure_future(setting.api.create("nova", request_id="r1"))
    sid = await _offered(setting.bus)
    ended = await setting.api.end(sid)
    assert (ended.state, ended.end_reason) == (api.SESSION_STATE_ENDED, api.END_REASON_API)
    assert (await refused(creating)).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    async with setting.worker.at_work():
        again = await setting.api.create("nova", request_id="r1")
    assert (again.session.session_id, again.session.state) == (sid, api.SESSION_STATE_ENDED)


async def _offered(bus: Bus) -> str:
    """The session of the first job, as soon as there is one."""
    async with asyncio.timeout(5):
        while not (found := await bus.last(subjects.JOBS, subjects.job("*"), leader=True)):
            await asyncio.sleep(0.01)
    return subjects.session_of(found.subject)


async def _all(
    client: SessionApi, session_id: str, cursor: int = 0
) -> list[api.WatchSessionResponse]:
    async with asyncio.timeout(10):
        return [one async for one in client.watch(session_id, cursor)]


async def test_watch_shows_public_events_in_order_and_ends_with_the_session(
    staffed: Setting,
) -> None:
    sid = await staffed.settled()
    lease = pipeline.EventRecord(generation=1, lease=pipeline.Lease(instance="i"))
    checkpoint = pipeline.EventRecord(generation=1, checkpoint=pipeline.Checkpoint(turn=1))
    await staffed.worker.tell(sid, "lease", lease)
    first = await staffed.worker.tell(sid, "user", _said("one"))
    watching = asyncio.create_task(_all(staffed.api, sid))
    await staffed.worker.tell(sid, "checkpoint", checkpoint)
    await staffed.bus.store(subjects.event("user", sid), b"\xff\xff")
    await staffed.worker.tell(sid, "user", _said("two"))
    await staffed.worker.tell(new_ulid(), "user", _said("of somebody else"))
    await staffed.worker.tell(sid, "session", ENDED)
    seen = await watching
    assert [one.event.user.text for one in seen] == ["one", "two", ""]
    assert seen[-1].event.session.step == api.SessionChanged.STEP_ENDED
    assert seen[0].cursor == first
    assert abs(seen[0].time.seconds - time.time()) < 10
    assert [one.cursor for one in seen] == sorted({one.cursor for one in seen})


async def test_watch_goes_on_after_a_cursor(staffed: Setting) -> None:
    sid = await staffed.settled()
    for number in range(3):
        await staffed.worker.tell(sid, "user", _said(str(number)))
    seen = []
    async with asyncio.timeout(5):
        async for response in staffed.api.watch(sid):
            seen.append(response)
            if len(seen) == 2:
                break
    # The client is gone while more happens; another one, on a connection of its own, goes on.
    await staffed.worker.tell(sid, "user", _said("3"))
    await staffed.worker.tell(sid, "session", ENDED)
    async with SessionApi(staffed.address, SECRET) as later:
        rest = await _all(later, sid, seen[-1].cursor)
        assert [one.event.user.text for one in seen + rest] == ["0", "1", "2", "3", ""]
        # Nothing is left after the last cursor, and the stream says so by closing.
        await staffed.worker.change(sid, api.SESSION_STATE_ENDED)
        assert await _all(later, sid, rest[-1].cursor) == []


async def test_watch_rings_at_once(staffed: Setting) -> None:
    sid = await staffed.settled()
    arrivals: list[float] = []

    async def watch() -> None:
        async for _ in staffed.api.watch(sid):
            arrivals.append(time.monotonic())

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.5)  # quiet: past the quick looks that follow the start
    told = time.monotonic()
    await staffed.worker.tell(sid, "user", _said("x"))
    await asyncio.sleep(0.3)
    assert len(arrivals) == 1
    assert arrivals[0] - told < 0.1
    await staffed.worker.tell(sid, "session", ENDED)
    await asyncio.wait_for(watching, 5)


async def test_a_stopping_server_sends_its_watchers_elsewhere(staffed: Setting) -> None:
    sid = await staffed.settled()
    watching = asyncio.create_task(refused(_all(staffed.api, sid)))
    await asyncio.sleep(0.2)
    await asyncio.wait_for(staffed.server.stop(), 4)
    moved = await watching
    assert (moved.code, moved.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
    assert moved.retry_s is not None


async def test_say_speaks_once_for_each_request_id(staffed: Setting) -> None:
    sid = await staffed.settled()
    control = await staffed.bus.serve(subjects.control(sid), staffed.worker.answer)
    first = await staffed.api.say(sid, "Hello.", "s1")
    assert await staffed.api.say(sid, "Hello.", "s1") == first
    assert await staffed.api.say(sid, "Hello.") != await staffed.api.say(sid, "Hello.")
    assert all(request.say.request_id for request in staffed.worker.asked)
    found = await refused(staffed.api.say(sid, "refuse"))
    assert (found.code, found.reason, found.text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "TOO_MANY_TURNS",
        "enough",
    )
    await control.aclose()


async def test_say_survives_a_lost_reply_with_the_same_id(staffed: Setting) -> None:
    sid = await staffed.settled()
    staffed.worker.mute_for = 1
    control = await staffed.bus.serve(subjects.control(sid), staffed.worker.answer)
    assert await staffed.api.say(sid, "Hello.") == 1
    assert len({request.say.request_id for request in staffed.worker.asked}) == 1
    assert len(staffed.worker.asked) == 2
    await control.aclose()


async def test_say_waits_for_the_next_holder_for_a_while(staffed: Setting) -> None:
    sid = await staffed.settled()
    began = time.monotonic()
    gone = await refused(staffed.api.say(sid, "Hello."))
    assert 2.5 < time.monotonic() - began < 4
    assert (gone.code, gone.reason) == (grpc.StatusCode.UNAVAILABLE, "NO_HOLDER")
    assert gone.retry_s is not None
    saying = asyncio.ensure_future(staffed.api.say(sid, "Hello."))
    await asyncio.sleep(0.5)
    control = await staffed.bus.serve(subjects.control(sid), staffed.worker.answer)
    assert await saying == 1
    await control.aclose()


async def test_reflection_and_health_need_no_key(setting: Setting) -> None:
    async with grpc.aio.insecure_channel(setting.address) as channel:
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = [one async for one in stub.ServerReflectionInfo(iter([ask]))]
        assert SERVICE_NAME in {one.name for one in answer.list_services_response.service}
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE_NAME):
            state = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert state.status == health_pb2.HealthCheckResponse.SERVING
