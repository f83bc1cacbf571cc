"""Each service's rights on the bus: all that it does is allowed, everything else is refused."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from deploy.nats.provision import provision
from tests.support.bus_users import SECURED_CONFIG, USERS, account, password, with_user
from tests.support.conversation import World, running_world, talk
from tests.support.openai_server import Reply
from tests.support.waiting import fetched, until
from visavis_local.ports import free_port
from visavis_local.servers import nats_process
from visavis_runtime import nats_bus, subjects
from visavis_runtime.bus import Bus, Guard

SID = "s1"
PERMISSIONS = SECURED_CONFIG.with_name("permissions.conf")
API = "$JS.API"


def _worker(stage: str) -> set[str]:
    """What the three model stages have in common."""
    return {
        f"{API}.CONSUMER.INFO.VV_WORK.{stage}",
        f"{API}.CONSUMER.MSG.NEXT.VV_WORK.{stage}",
        f"$JS.ACK.VV_WORK.{stage}.1.2.3.4.5",
        f"$JS.ACK.domain.account.VV_WORK.{stage}.1.2.3.4.5.6",
        f"vv.result.{stage}.{SID}",
        f"vv.dlq.{stage}.{SID}",
        f"_INBOX_{stage}.x",
    }


MAY_PUBLISH = {
    "provision": {
        *(f"{API}.STREAM.{verb}.VV_EVENTS" for verb in ("CREATE", "UPDATE")),
        f"{API}.CONSUMER.DURABLE.CREATE.VV_WORK.asr",
    },
    "token": {
        f"vv.job.egress.{SID}",
        f"vv.control.{SID}",
        *(f"$KV.vv_sessions.{SID}.{record}" for record in ("spec", "status", "link")),
        f"{API}.STREAM.MSG.GET.KV_vv_sessions",
        *(f"{API}.DIRECT.GET.{stream}" for stream in ("KV_vv_sessions", "VV_EVENTS")),
        "_INBOX_token.x",
    },
    "asr": _worker("asr") | {f"vv.partial.transcript.{SID}"},
    "llm": _worker("llm")
    | {f"vv.work.tts.{SID}", f"{API}.DIRECT.GET.VV_RESULTS.vv.result.llm.{SID}"},
    "tts": _worker("tts") | {f"vv.speech.{SID}"},
    "egress": {
        f"{API}.CONSUMER.INFO.VV_JOBS.egress",
        f"{API}.CONSUMER.MSG.NEXT.VV_JOBS.egress",
        "$JS.ACK.VV_JOBS.egress.1.2.3.4.5",
        "$JS.ACK.domain.account.VV_JOBS.egress.1.2.3.4.5.6",
        *(f"vv.work.{stage}.{SID}" for stage in ("asr", "llm", "tts")),
        f"vv.cancel.{SID}",
        f"vv.score.{SID}",
        *(f"vv.event.{kind}.{SID}" for kind in ("lease", "checkpoint", "turn", "session")),
        f"$KV.vv_sessions.{SID}.status",
        *(f"{API}.STREAM.MSG.GET.{one}" for one in ("KV_vv_sessions", "VV_EVENTS", "VV_RESULTS")),
        *(f"{API}.DIRECT.GET.{stream}" for stream in ("VV_EVENTS", "VV_SPEECH")),
        *(f"{API}.DIRECT.GET.VV_RESULTS.vv.result.{one}.{SID}" for one in ("asr", "llm", "tts")),
        "_INBOX_egress.x",
    },
}
NOBODY_MAY_PUBLISH = {
    *(f"{API}.STREAM.{verb}.VV_EVENTS" for verb in ("DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT")),
    *(f"{API}.STREAM.{verb}" for verb in ("NAMES", "LIST", "RESTORE.VV_EVENTS")),
    f"{API}.STREAM.PURGE.KV_vv_sessions",
    f"{API}.CONSUMER.CREATE.VV_EVENTS",
    f"{API}.CONSUMER.CREATE.VV_EVENTS.spy.vv.event.turn.{SID}",
    f"{API}.CONSUMER.DELETE.VV_WORK.asr",
    f"{API}.CONSUMER.MSG.NEXT.VV_DLQ.spy",
    *(f"{API}.DIRECT.GET.{stream}" for stream in ("VV_RESULTS", "VV_WORK", "VV_DLQ")),
    f"{API}.STREAM.MSG.GET.VV_DLQ",
    f"vv.dlq.egress.{SID}",
    f"vv.event.turn.{SID}.more",
    f"vv.work.other.{SID}",
    f"vv.result.other.{SID}",
    f"$KV.vv_sessions.{SID}.other",
    f"$KV.other.{SID}",
    "vv.other",
    "other",
    "$SYS.REQ.SERVER.PING",
    "_INBOX.x",
    "_INBOX_other.x",
}
# A subject, or a subject and the queue it is shared in.
MAY_SUBSCRIBE = {
    "provision": {"_INBOX_provision.>"},
    "token": {"_INBOX_token.>", "vv.event.*.*", f"vv.event.*.{SID}"},
    **{stage: {f"_INBOX_{stage}.>", "vv.cancel.*"} for stage in ("asr", "tts")},
    "llm": {"_INBOX_llm.>", "vv.cancel.*", "vv.score.* llm", f"vv.score.{SID} llm"},
    "egress": {
        "_INBOX_egress.>",
        *(f"vv.result.{stage}.{SID}" for stage in ("asr", "llm", "tts", "*")),
        *(f"vv.{kind}.{SID}" for kind in ("speech", "control", "partial.transcript")),
    },
}
NOBODY_MAY_SUBSCRIBE = {
    *(">", "vv.>", "vv.work.*.*", f"vv.work.asr.{SID}", "vv.job.egress.*", "vv.dlq.*.*"),
    *("vv.score.*", f"vv.score.{SID}", "vv.score.* other"),
    *("$KV.vv_sessions.>", "$JS.>", "$JS.EVENT.>", "$SYS.>", "_INBOX.>", "_INBOX_other.>"),
}
EVERY_SUBJECT = NOBODY_MAY_PUBLISH.union(*MAY_PUBLISH.values())
EVERY_SUBSCRIPTION = NOBODY_MAY_SUBSCRIBE.union(*MAY_SUBSCRIBE.values())

Connect = Callable[[str], Awaitable[Bus]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Everything runs on a bus with users."""
    settings = {"VISAVIS_AVATAR": "audio_only", "VISAVIS_TTS_ENGINE": "fake"}
    settings |= {"VISAVIS_ASR_ENGINE": "fake", "VISAVIS_ASR_FAKE_TEXT": "When does the train go?"}
    async with running_world(settings, users=True) as one:
        yield one


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A server with users; the streams were made, twice, by the one that may."""
    port = free_port()
    process = with_user(nats_process(port, free_port(), tmp_path), "nats")
    try:
        await asyncio.to_thread(process.start)
        address = f"nats://127.0.0.1:{port}"
        for variable, value in account("provision").items():
            monkeypatch.setenv(variable, value)
        for _ in range(2):
            await provision(address)
        yield address
    finally:
        await asyncio.to_thread(process.stop)


@pytest.fixture
async def connect(url: str) -> AsyncIterator[Connect]:
    """Opens the bus as one of the users."""
    async with AsyncExitStack() as stack:

        async def open_as(user: str) -> Bus:
            bus = await nats_bus.NatsBus().connect(
                url, name=user, user=user, password=password(user)
            )
            stack.push_async_callback(bus.aclose)
            return bus

        yield open_as


@asynccontextmanager
async def raw(url: str, user: str, refused: set[str]) -> AsyncIterator[Client]:
    """A connection that collects what it is refused, in lower case."""

    async def note(error: Exception) -> None:
        told = r'permissions violation for .* to "([^"]+)"(?: using queue "([^"]+)")?'
        found = re.search(told, str(error).lower())
        refused.add(" ".join(filter(None, found.groups())) if found else repr(error))

    client = await nats.connect(
        url,
        user=user,
        password=password(user),
        error_cb=note,
        inbox_prefix=f"_INBOX_{user}",
    )
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("user", USERS)
async def test_a_user_may_publish_what_it_needs_and_nothing_else(url: str, user: str) -> None:
    refused: set[str] = set()
    async with raw(url, user, refused) as client:
        for subject in sorted(EVERY_SUBJECT):
            await client.publish(subject, b"{}")
            await client.flush()
        expected = {one.lower() for one in EVERY_SUBJECT - MAY_PUBLISH[user]}
        # A refusal may come after the answer to the flush.
        with suppress(AssertionError):  # the comparison below says more
            await until(lambda: len(refused) >= len(expected), "all refusals")
    assert refused == expected


def test_every_entry_is_tried() -> None:
    entries = re.findall(r'user: (\w+), |"([^"\n]*[.*>][^"\n]*)"', PERMISSIONS.read_text())
    user = ""
    for named, entry in entries:
        user = named or user
        if entry:
            tried = MAY_PUBLISH[user] | MAY_SUBSCRIBE[user]
            pattern = re.escape(entry).replace(r"\*", "[^.]+").replace(">", ".+")
            assert any(re.fullmatch(pattern, subject) for subject in tried), f"{user}: {entry}"


@pytest.mark.parametrize("user", USERS)
async def test_a_user_may_listen_to_what_it_needs_and_nothing_else(url: str, user: str) -> None:
    refused: set[str] = set()
    async with raw(url, user, refused) as client:
        for one in sorted(EVERY_SUBSCRIPTION):
            subject, _, queue = one.partition(" ")
            await client.subscribe(subject, queue=queue)
            await client.flush()
        expected = {one.lower() for one in EVERY_SUBSCRIPTION - MAY_SUBSCRIBE[user]}
        with suppress(AssertionError):  # the comparison below says more
            await until(lambda: len(refused) >= len(expected), "all refusals")
    assert refused == expected


@pytest.mark.parametrize("stage", ["asr", "llm", "tts"])
async def test_a_worker_may_do_all_that_its_work_loop_does(connect: Connect, stage: str) -> None:
    egress, worker = await connect("egress"), await connect(stage)
    heard: list[bytes] = []
    await worker.subscribe(subjects.cancel("*"), lambda message: heard.append(message.data))
    queue = await worker.work(subjects.WORK, stage)
    for number in range(3):
        await egress.store(subjects.work(stage, SID), b"work", message_id=str(number))
    first = await fetched(queue)
    await first.renew()
    await first.nak()
    for _ in range(2):
        await (await fetched(queue)).ack()
    await (await fetched(queue)).term()
    await worker.store(subjects.result(stage, SID), b"result", message_id="r")
    await worker.store(subjects.dead_letter(stage, SID), b"letter")
    if stage == "asr":
        assert await worker.publish(subjects.partial_transcript(SID), b"words")
    if stage == "llm":
        last = await worker.last(subjects.RESULTS, subjects.result("llm", SID))
        assert last
        assert last.data == b"result"
        await worker.store(subjects.work("tts", SID), b"sentence")
    if stage == "tts":
        assert await worker.publish(subjects.speech(SID), b"chunk")
        await worker.store(subjects.speech(SID), b"end mark", message_id="m")
    await egress.publish(subjects.cancel(SID), b"stop")
    await until(lambda: heard == [b"stop"], "the cancel")
    await queue.aclose()
    for bus in (egress, worker):
        await bus.ping()  # raises Forbidden after any refusal


async def test_a_holder_may_do_all_that_a_session_needs(connect: Connect) -> None:
    token, egress = await connect("token"), await connect("egress")
    asr, tts = await connect("asr"), await connect("tts")
    queue = await egress.work(subjects.JOBS, "egress")
    for record in ("spec", "status", "link"):
        await token.create(f"{SID}.{record}", b"record")
    await token.store(subjects.job(SID), b"job")
    lease = await fetched(queue)
    await lease.renew()
    taken = subjects.event("lease", SID)
    assert await egress.last(subjects.EVENTS, taken, leader=True) is None
    guard = Guard(taken, (await egress.store(taken, b"taken", guard=Guard(taken, 0))).sequence)
    heard: list[bytes] = []
    partial = subjects.partial_transcript(SID)
    for subject in (subjects.result("*", SID), subjects.speech(SID), partial):
        await egress.subscribe(subject, lambda message: heard.append(message.data))
    seen: list[bytes] = []
    await token.subscribe(subjects.event("*", SID), lambda message: seen.append(message.data))
    await asr.store(subjects.result("asr", SID), b"text")
    await asr.publish(partial, b"words")
    await tts.publish(subjects.speech(SID), b"chunk")
    await until(lambda: sorted(heard) == [b"chunk", b"text", b"words"], "all three")
    assert await egress.last(subjects.RESULTS, subjects.result("asr", SID))
    assert await egress.last(subjects.RESULTS, subjects.result("asr", SID), leader=True)
    assert [one async for one in egress.replay(subjects.SPEECH, subjects.speech(SID))]
    await egress.store(subjects.event("turn", SID), b"turn", message_id="t", guard=guard)
    await until(lambda: seen == [b"turn"], "the event")
    for bus in (token, egress):
        events = bus.replay(subjects.EVENTS, subjects.event("*", SID))
        assert [one.data async for one in events] == [b"taken", b"turn"]
        status = await bus.read(f"{SID}.status")
        assert status
        await bus.update(f"{SID}.status", b"changed", status.revision)
    assert await egress.read(f"{SID}.spec")
    specs = f"{subjects.SESSIONS}*.spec"
    assert [one async for one in token.replay(subjects.SESSIONS_STREAM, specs)]
    await lease.ack()
    for bus in (token, egress, asr, tts):
        await bus.ping()


async def test_a_holder_answers_its_callers_and_reaches_no_other_inbox(connect: Connect) -> None:
    token, egress = await connect("token"), await connect("egress")

    async def answer(_: object) -> bytes:
        return b"answer"

    await egress.serve(subjects.control(SID), answer)
    for _ in range(3):
        assert await token.request(subjects.control(SID), b"?", timeout_s=2) == b"answer"
    await egress.ping()


async def test_a_worker_answers_questions_for_scores_and_reaches_no_other_inbox(
    connect: Connect,
) -> None:
    egress, llm = await connect("egress"), await connect("llm")

    async def answer(_: object) -> bytes:
        return b"score"

    await llm.serve(subjects.score("*"), answer, queue="llm")
    for _ in range(3):
        assert await egress.request(subjects.score(SID), b"?", timeout_s=2) == b"score"
    for bus in (egress, llm):
        await bus.ping()


async def test_the_services_hold_a_conversation_under_their_users(world: World) -> None:
    second = await world.stack.start("egress", replica=1)
    async with talk(world) as one:
        await one.seated()
        world.model.replies.append(Reply("At seven."))
        await one.ask("When does the train go?")
        assert (await one.over(1)).heard_text == "At seven."
        holders = world.stack.processes["egress"], second
        holder = next(process for process in holders if one.session_id in process.tail(1000))
        await asyncio.to_thread(holder.stop)
        turn = await one.say("It leaves from here.")
        assert (await one.over(turn)).heard_text == "It leaves from here."
    said = (world.stack.layout.folder / "nats-server.log").read_text()
    assert "Violation" not in said, said
