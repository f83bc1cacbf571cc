"""What every bus does: publish, store, guard, subscribe, ask, read back, keep sessions."""

import asyncio
import time

import pytest

from tests.contract.conftest import Connect
from tests.support.waiting import until
from visavis_runtime import subjects
from visavis_runtime.bus import Bus, Guard, Message, Receipt, Stored
from visavis_runtime.errors import (
    BusUnavailable,
    LeaseLost,
    NobodyThere,
    SubjectTaken,
    TooLarge,
    WrongRevision,
)

SID = "01HZX"


async def replayed(bus: Bus, stream: str, subject: str, from_sequence: int = 1) -> list[Stored]:
    return [stored async for stored in bus.replay(stream, subject, from_sequence)]


async def test_subscribers_get_messages_in_order_and_only_of_their_subject(
    connect: Connect,
) -> None:
    publisher, listener = await connect(), await connect()
    heard: list[Message] = []
    await listener.subscribe("vv.cancel.*", heard.append)
    for number in range(100):
        assert await publisher.publish(subjects.cancel(SID), str(number).encode())
        assert await publisher.publish("vv.partial.transcript.x", b"other")
    await until(lambda: len(heard) == 100, "100 messages")
    assert [int(message.data) for message in heard] == list(range(100))
    assert {message.subject for message in heard} == {subjects.cancel(SID)}


async def test_a_closed_subscription_hears_nothing_more(bus: Bus) -> None:
    heard: list[Message] = []
    still: list[Message] = []
    closing = await bus.subscribe("vv.cancel.*", heard.append)
    await bus.subscribe("vv.cancel.*", still.append)
    await closing.aclose()
    await bus.publish(subjects.cancel(SID), b"x")
    await until(lambda: still, "the open subscription's message")
    assert not heard


async def test_a_handler_that_raises_does_not_end_the_subscription(bus: Bus) -> None:
    heard: list[int] = []
    await bus.subscribe("vv.cancel.*", lambda message: heard.append(int(message.data)))
    await bus.publish(subjects.cancel(SID), b"not a number")
    await bus.publish(subjects.cancel(SID), b"2")
    await until(lambda: heard == [2], "the second message")


async def test_store_numbers_messages_and_last_and_replay_read_them_back(bus: Bus) -> None:
    first = await bus.store(subjects.result("asr", SID), b"one")
    second = await bus.store(subjects.result("llm", SID), b"two")
    assert (first, second) == (Receipt(1, False), Receipt(2, False))
    last = await bus.last(subjects.RESULTS, subjects.result("asr", SID))
    assert last
    assert (last.data, last.sequence, last.subject) == (b"one", 1, "vv.result.asr.01HZX")
    assert [stored.data for stored in await replayed(bus, subjects.RESULTS, "vv.result.>")] == [
        b"one",
        b"two",
    ]


async def test_time_stamps_are_unix_seconds_in_the_order_of_the_stream(bus: Bus) -> None:
    await bus.store(subjects.result("asr", SID), b"one")
    await bus.store(subjects.result("asr", SID), b"two")
    one, two = await replayed(bus, subjects.RESULTS, "vv.result.>")
    direct = await bus.last(subjects.RESULTS, two.subject)
    leader = await bus.last(subjects.RESULTS, two.subject, leader=True)
    assert direct == leader == two
    assert one.time_s <= two.time_s
    assert abs(two.time_s - time.time()) < 5


async def test_last_of_an_empty_subject_is_none(bus: Bus) -> None:
    assert await bus.last(subjects.RESULTS, "vv.result.asr.none") is None
    assert await bus.last(subjects.RESULTS, "vv.result.asr.none", leader=True) is None


async def test_a_stream_that_does_not_exist_is_unavailable(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        await bus.last("VV_NONE", "vv.none.x", leader=True)
    with pytest.raises(BusUnavailable):
        await bus.last("VV_NONE", "vv.none.x")
    with pytest.raises(BusUnavailable):
        await replayed(bus, "VV_NONE", "vv.none.x")


async def test_a_replay_of_thousands_is_complete_in_order_and_starts_where_asked(bus: Bus) -> None:
    total = 1203  # more than two batches of 500
    for start in range(0, total, 100):
        await asyncio.gather(
            *(
                bus.store(subjects.result(("asr", "llm")[n % 2], f"s{n % 3}"), str(n).encode())
                for n in range(start, min(total, start + 100))
            )
        )
    everything = await replayed(bus, subjects.RESULTS, "vv.result.>")
    assert [stored.sequence for stored in everything] == list(range(1, total + 1))
    of_one = await replayed(bus, subjects.RESULTS, "vv.result.*.s1")
    assert {int(stored.data) for stored in of_one} == set(range(1, total, 3))
    assert {stored.subject for stored in of_one} == {"vv.result.asr.s1", "vv.result.llm.s1"}
    assert [s.sequence for s in await replayed(bus, subjects.RESULTS, "vv.result.>", 1100)] == list(
        range(1100, total + 1)
    )
    assert await replayed(bus, subjects.RESULTS, "vv.result.>", total + 1) == []
    assert await replayed(bus, subjects.RESULTS, "vv.result.*.nobody") == []


async def test_core_published_speech_is_kept_by_its_stream(bus: Bus) -> None:
    await bus.publish(subjects.speech(SID), b"pcm")
    # Stored on the same connection after it, so it is there once this one is.
    await bus.store(subjects.speech(SID), b"end")
    kept = await replayed(bus, subjects.SPEECH, subjects.speech(SID))
    assert [stored.data for stored in kept] == [b"pcm", b"end"]


async def test_the_same_message_id_is_stored_once_and_told_as_duplicate(bus: Bus) -> None:
    first = await bus.store(subjects.event("turn", SID), b"x", message_id="sid/1/ev/1")
    again = await bus.store(subjects.event("turn", SID), b"x", message_id="sid/1/ev/1")
    elsewhere = await bus.store(subjects.event("user", SID), b"y", message_id="sid/1/ev/1")
    assert first == Receipt(1, False)
    assert again == elsewhere == Receipt(1, True)  # ids are per stream, not per subject
    assert len(await replayed(bus, subjects.EVENTS, "vv.event.>")) == 1


async def test_subscribers_also_hear_what_the_stream_had_already_or_refused(bus: Bus) -> None:
    heard: list[bytes] = []
    await bus.subscribe("vv.event.*.*", lambda message: heard.append(message.data))
    turn = subjects.event("turn", SID)
    await bus.store(turn, b"first", message_id="id")
    await bus.store(turn, b"repeat", message_id="id")
    with pytest.raises(LeaseLost):
        await bus.store(turn, b"stale", guard=Guard(subjects.event("lease", SID), 77))
    await until(lambda: heard == [b"first", b"repeat", b"stale"], "all three")


async def test_guard_zero_means_that_nothing_was_written_yet(bus: Bus) -> None:
    lease = subjects.event("lease", SID)
    taken = await bus.store(lease, b"holder 1", guard=Guard(lease, 0))
    with pytest.raises(LeaseLost):
        await bus.store(lease, b"holder 2", guard=Guard(lease, 0))
    next_one = await bus.store(lease, b"holder 2", guard=Guard(lease, taken.sequence))
    assert next_one.sequence == taken.sequence + 1


async def test_a_stale_holder_is_refused_and_the_healthy_one_writes_on(connect: Connect) -> None:
    zombie, healthy = await connect(), await connect()
    lease, turn = subjects.event("lease", SID), subjects.event("turn", SID)
    old = Guard(lease, (await zombie.store(lease, b"1", guard=Guard(lease, 0))).sequence)
    await zombie.store(turn, b"by the first", message_id="s/1/ev/1", guard=old)
    new = Guard(lease, (await healthy.store(lease, b"2", guard=old)).sequence)
    with pytest.raises(LeaseLost):
        await zombie.store(turn, b"zombie", message_id="s/1/ev/2", guard=old)
    with pytest.raises(LeaseLost):
        await zombie.store(lease, b"zombie", guard=old)
    for number in range(20):
        await healthy.store(turn, b"by the second", message_id=f"s/2/ev/{number}", guard=new)
    kept = await replayed(healthy, subjects.EVENTS, turn)
    assert [stored.data for stored in kept] == [b"by the first"] + [b"by the second"] * 20


async def test_a_guarded_repeat_is_a_duplicate_and_refused_once_the_guard_has_moved(
    bus: Bus,
) -> None:
    lease, turn = subjects.event("lease", SID), subjects.event("turn", SID)
    guard = Guard(lease, (await bus.store(lease, b"1", guard=Guard(lease, 0))).sequence)
    written = await bus.store(turn, b"x", message_id="s/1/ev/1", guard=guard)
    again = await bus.store(turn, b"x", message_id="s/1/ev/1", guard=guard)
    assert again == Receipt(written.sequence, True)
    await bus.store(lease, b"2", guard=guard)
    with pytest.raises(LeaseLost):
        await bus.store(turn, b"x", message_id="s/1/ev/1", guard=guard)


async def test_writes_at_once_on_one_guard_all_arrive(bus: Bus) -> None:
    lease, turn = subjects.event("lease", SID), subjects.event("turn", SID)
    guard = Guard(lease, (await bus.store(lease, b"1", guard=Guard(lease, 0))).sequence)
    await asyncio.gather(
        *(
            bus.store(turn, str(n).encode(), message_id=f"s/1/ev/{n}", guard=guard)
            for n in range(50)
        )
    )
    kept = await replayed(bus, subjects.EVENTS, turn)
    assert {int(stored.data) for stored in kept} == set(range(50))
    assert len(kept) == 50


async def test_a_session_has_one_job(bus: Bus) -> None:
    await bus.store(subjects.job(SID), b"job")
    with pytest.raises(SubjectTaken):
        await bus.store(subjects.job(SID), b"job")
    await bus.store(subjects.job("another"), b"job")


@pytest.mark.parametrize(
    ("subject", "limit"),
    [
        ("vv.job.egress.s", 4096),
        ("vv.work.asr.s", 1_000_000),
        ("vv.result.llm.s", 262_144),
        ("vv.speech.s", 16_384),
        ("vv.event.turn.s", 524_288),
        ("vv.dlq.asr.s", 1_000_000),
    ],
)
async def test_a_message_of_the_largest_size_is_kept_and_one_byte_more_refused(
    bus: Bus, subject: str, limit: int
) -> None:
    assert (await bus.store(subject, bytes(limit))).sequence == 1
    with pytest.raises(TooLarge):
        # A subject of its own: a job's subject holds one message.
        await bus.store(subject + "x", bytes(limit + 1))


async def test_what_no_server_takes_is_refused_before_it_is_sent(bus: Bus) -> None:
    with pytest.raises(TooLarge):
        await bus.store(subjects.work("asr", SID), bytes(2_000_000))
    with pytest.raises(TooLarge):
        await bus.publish(subjects.speech(SID), bytes(2_000_000))
    await bus.ping()


async def test_a_request_is_answered_by_one_of_a_queue(connect: Connect) -> None:
    asker, *servers = [await connect() for _ in range(3)]
    served: list[int] = []
    for number, server in enumerate(servers):

        async def respond(message: Message, number: int = number) -> bytes:
            served.append(number)
            return message.data.upper()

        await server.serve("vv.score.*", respond, queue="llm")
    answers = [await asker.request("vv.score.s", b"hello", timeout_s=2) for _ in range(40)]
    assert set(answers) == {b"HELLO"}
    assert len(served) == 40
    assert set(served) == {0, 1}


async def test_requests_are_answered_at_the_same_time(bus: Bus) -> None:
    both_here = asyncio.Barrier(2)

    async def respond(message: Message) -> bytes:
        await asyncio.wait_for(both_here.wait(), 2)
        return message.data

    await bus.serve(subjects.control(SID), respond)
    asked = (bus.request(subjects.control(SID), data, timeout_s=3) for data in (b"1", b"2"))
    assert await asyncio.gather(*asked) == [b"1", b"2"]


async def test_a_request_that_nobody_serves_says_so_at_once(bus: Bus) -> None:
    serving = await bus.serve(subjects.control(SID), _echo)
    await serving.aclose()
    await bus.ping()
    with pytest.raises(NobodyThere):
        await bus.request(subjects.control(SID), b"", timeout_s=5)


async def test_a_failing_or_slow_responder_is_a_timeout_and_serves_on(bus: Bus) -> None:
    async def respond(message: Message) -> bytes:
        if message.data == b"fail":
            raise ValueError("refused by the responder")
        return b"fine"

    await bus.serve(subjects.control(SID), respond)
    with pytest.raises(BusUnavailable):
        await bus.request(subjects.control(SID), b"fail", timeout_s=0.2)
    assert await bus.request(subjects.control(SID), b"", timeout_s=2) == b"fine"


async def _echo(message: Message) -> bytes:
    return message.data


async def test_session_entries_change_by_compare_and_set(connect: Connect) -> None:
    one, other = await connect(), await connect()
    assert await one.read("s.spec") is None
    created = await one.create("s.spec", b"a")
    with pytest.raises(WrongRevision):
        await other.create("s.spec", b"b")
    entry = await other.read("s.spec")
    assert entry
    assert (entry.value, entry.revision) == (b"a", created)
    changed = await other.update("s.spec", b"b", entry.revision)
    assert changed > created
    with pytest.raises(WrongRevision):
        await one.update("s.spec", b"c", created)
    assert (await one.read("s.spec")) == type(entry)(b"b", changed)


async def test_of_many_creators_one_wins(connect: Connect) -> None:
    buses = [await connect() for _ in range(5)]
    outcomes = await asyncio.gather(
        *(bus.create("s.status", str(n).encode()) for n, bus in enumerate(buses)),
        return_exceptions=True,
    )
    winners = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, int)]
    assert len(winners) == 1
    entry = await buses[0].read("s.status")
    assert entry
    assert entry.value == str(winners[0]).encode()
    assert all(isinstance(o, int | WrongRevision) for o in outcomes)


async def test_sessions_are_listed_by_a_replay_with_their_last_value_only(bus: Bus) -> None:
    for name in ("a", "b"):
        revision = await bus.create(f"{name}.spec", b"old")
        await bus.update(f"{name}.spec", b"new", revision)
        await bus.create(f"{name}.status", b"ACTIVE")
    specs = await replayed(bus, subjects.SESSIONS_STREAM, "$KV.vv_sessions.*.spec")
    assert [(s.subject.split(".")[2], s.data) for s in specs] == [("a", b"new"), ("b", b"new")]


async def test_a_closed_bus_refuses_everything(bus: Bus) -> None:
    await bus.ping()
    await bus.aclose()
    assert not await bus.publish("vv.cancel.s", b"")
    with pytest.raises(BusUnavailable):
        await bus.ping()
    with pytest.raises(BusUnavailable):
        await bus.store(subjects.result("asr", SID), b"")
    with pytest.raises(BusUnavailable):
        await bus.request("vv.control.s", b"", timeout_s=0.2)
