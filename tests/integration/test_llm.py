"""The language model worker as a process, on a real bus, before a scripted and a real server."""

import asyncio
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.openai_server import OpenAIServer, Reply
from tests.support.waiting import until
from tests.support.workers import EPOCH, Workplace, end_status, until_settled, workplace
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_llm.engine import Prompt
from visavis_llm.openai_chat import OpenAIChatModel
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess
from visavis_runtime import subjects

TEXT = "This is one. Here is two. And three. Now comes four."
SENTENCES = ["This is one.", "Here is two.", "And three.", "Now comes four."]


@pytest.fixture
async def place() -> AsyncIterator[Workplace]:
    async with workplace() as one:
        yield one


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(Reply(TEXT)) as one:
        yield one


async def start(place: Workplace, server: OpenAIServer, **more: str) -> ServerProcess:
    settings = {"BASE_URL": server.base_url, "MODEL": "fixed", "CONTINUE": "vllm"} | more
    return await place.start("llm", **settings)


def work(place: Workplace, *, epoch: int = EPOCH, text: str = "Say something.") -> pb.GenerateWork:
    address = place.address
    address.epoch = epoch
    messages = [pb.ChatMessage(role="user", content=text)]
    return pb.GenerateWork(address=address, messages=messages, voice="heart", language="en")


async def answer(place: Workplace, *, within_s: float = 15.0) -> pb.GenerateResult:
    """The last result of the session once it is complete or an error."""
    found = await place.until_stored(
        pb.GenerateResult,
        subjects.result("llm", place.session),
        lambda found: found and (found[-1].complete or found[-1].HasField("error")),
        within_s=within_s,
    )
    return found[-1]


async def sentences_to_speak(place: Workplace) -> list[tuple[int, str]]:
    """Takes the synthesis work out of its queue: number and text, in order."""
    queue = await place.bus.work(subjects.WORK, "tts")
    found = []
    while item := await queue.fetch(0.3):
        sound = pb.SynthesizeWork.FromString(item.data)
        found.append((sound.sentence, sound.text))
        await item.ack()
    await queue.aclose()
    return found


async def test_an_answer_goes_to_synthesis_sentence_by_sentence(
    place: Workplace, server: OpenAIServer
) -> None:
    await start(place, server)
    await place.give("llm", work(place))
    last = await answer(place)
    assert (list(last.sentences), last.finish_reason) == (SENTENCES, "stop")
    assert await sentences_to_speak(place) == list(enumerate(SENTENCES))
    (request,) = server.requests
    assert request.messages == [("user", "Say something.")]
    assert request.headers["X-Request-Id"] == f"{place.session}/{EPOCH}"
    print(f"first token {last.first_token.ToMicroseconds()} us, {last.took.ToMicroseconds()} us")


async def test_a_frozen_worker_doubles_nothing(place: Workplace, server: OpenAIServer) -> None:
    # The frozen one would have more to say: it must notice that it was overtaken.
    server.replies.append(Reply(f"{TEXT} This is too much.", token_s=0.05))
    frozen = await start(place, server)
    await place.give("llm", work(place))
    subject = subjects.result("llm", place.session)
    await place.until_stored(pb.GenerateResult, subject, lambda found: found)
    frozen.signal(signal.SIGSTOP)
    await start(place, server)
    last = await answer(place)
    frozen.signal(signal.SIGCONT)
    await until_settled(frozen)
    assert list(last.sentences) == SENTENCES
    assert await answer(place) == last
    results = await place.stored(pb.GenerateResult, subjects.RESULTS, subject)
    assert [list(one.sentences) for one in results] == [
        *(SENTENCES[: n + 1] for n in range(4)),
        SENTENCES,
    ]
    assert await sentences_to_speak(place) == list(enumerate(SENTENCES))


async def test_a_killed_workers_answer_is_continued_by_another(
    place: Workplace, server: OpenAIServer
) -> None:
    server.replies.append(Reply(TEXT, token_s=0.1))
    for _ in range(2):
        await start(place, server)
    await place.give("llm", work(place))
    subject = subjects.result("llm", place.session)
    await place.until_stored(pb.GenerateResult, subject, lambda found: len(found) >= 2)
    killed = await place.who_works()
    killed.kill()
    last = await answer(place)
    (other,) = [worker for worker in place.workers if worker is not killed]
    await until_settled(other)
    assert list(last.sentences) == SENTENCES
    assert [request.prefix for request in server.requests] == ["", "This is one. Here is two."]
    assert await sentences_to_speak(place) == list(enumerate(SENTENCES))
    results = await place.stored(pb.GenerateResult, subjects.RESULTS, subject)
    assert sum(one.complete for one in results) == 1


async def test_a_worker_that_is_told_to_end_finishes_its_answer_first(
    place: Workplace, server: OpenAIServer
) -> None:
    server.replies.append(Reply(TEXT, token_s=0.05))
    worker = await start(place, server)
    await place.give("llm", work(place))
    await server.wait_for(1)
    assert await end_status(worker) == 0, worker.tail()
    assert list((await answer(place, within_s=1)).sentences) == SENTENCES


async def test_a_cancel_stops_the_server_within_50_ms(
    place: Workplace, server: OpenAIServer
) -> None:
    server.choose = lambda _: Reply("word " * 1000, token_s=0.02)
    worker = await start(place, server)
    took_ms = []
    for number in range(3):
        await place.give("llm", work(place, epoch=EPOCH + number))
        request = await server.wait_for(number + 1)
        await until(lambda one=request: one.words_sent > 3, "words")  # type: ignore[misc]
        cancel = pb.Cancel(session_id=place.session, epoch=EPOCH + number + 1)
        asked_at = time.monotonic()
        await place.bus.publish(subjects.cancel(place.session), cancel.SerializeToString())
        await asyncio.wait_for(request.aborted.wait(), 5)
        took_ms.append((request.aborted_at - asked_at) * 1000)
    await until_settled(worker, 3)
    print("cancel to closed connection, ms:", [round(one, 1) for one in took_ms])
    assert statistics.median(took_ms) < 50


async def test_queued_work_of_a_cancelled_attempt_asks_no_model(
    place: Workplace, server: OpenAIServer
) -> None:
    worker = await start(place, server)
    cancel = pb.Cancel(session_id=place.session, epoch=EPOCH + 1)
    await place.bus.publish(subjects.cancel(place.session), cancel.SerializeToString())
    await place.give("llm", work(place))
    await until_settled(worker)
    assert not server.requests


async def test_a_server_that_is_down_is_told_soon_and_used_again_when_it_is_back(
    place: Workplace,
) -> None:
    async with OpenAIServer() as first:
        port = int(first.base_url.split(":")[2].split("/")[0])
        worker = await start(place, first)
    given_at = await place.give("llm", work(place))
    last = await answer(place)
    took_s = time.monotonic() - given_at
    assert last.error.code == "MODEL_SERVER_DOWN"
    assert took_s < 4
    assert (await place.dead_letters("llm"))[0].error.code == "MODEL_SERVER_DOWN"
    await until_settled(worker)
    async with OpenAIServer(Reply(TEXT), port=port):
        await place.give("llm", work(place, epoch=EPOCH + 1))
        await place.until_stored(
            pb.GenerateResult,
            subjects.result("llm", place.session),
            lambda found: found[-1].complete,
        )


async def test_a_cut_connection_is_mended_in_the_middle_of_an_answer(
    place: Workplace, server: OpenAIServer
) -> None:
    server.replies += [Reply(TEXT, fault="cut", fault_after=7), Reply(TEXT, status=500)]
    await start(place, server)
    await place.give("llm", work(place))
    assert list((await answer(place)).sentences) == SENTENCES
    prefixes = [request.prefix for request in server.requests]
    assert prefixes == ["", "This is one. Here is two.", "This is one. Here is two."]
    assert await sentences_to_speak(place) == list(enumerate(SENTENCES))


async def test_without_continuation_a_cut_answer_ends_after_its_sentences(
    place: Workplace, server: OpenAIServer
) -> None:
    server.replies.append(Reply(TEXT, fault="cut", fault_after=7))
    await start(place, server, CONTINUE="none")
    await place.give("llm", work(place))
    last = await answer(place)
    assert (list(last.sentences), last.finish_reason) == (SENTENCES[:2], "cannot_continue")


async def test_bad_work_is_told_and_the_next_item_is_done(
    place: Workplace, server: OpenAIServer
) -> None:
    await start(place, server)
    await place.give("llm", b"\xff not a message")
    assert (await answer(place)).error.code == "MALFORMED"
    (letter,) = await place.dead_letters("llm")
    assert letter.payload == b"\xff not a message"
    await place.give("llm", work(place, text="x" * 300_000))
    await place.give("llm", work(place, epoch=EPOCH + 1))
    found = await place.until_stored(
        pb.GenerateResult, subjects.result("llm", place.session), lambda found: found[-1].complete
    )
    assert found[1].error.code == "TOO_LONG"
    assert len(server.requests) == 1


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[str]:
    """The real llama.cpp server with the embedded weights; yields its address."""
    port = free_port()
    process = ServerProcess(
        name="model-server",
        command=[sys.executable, "-m", "visavis_model_server"],
        log=folder / "model-server.log",
        ready_url=f"http://127.0.0.1:{port}/health",
        environ={"VISAVIS_MODEL_SERVER_PORT": str(port)},
    )
    try:
        await asyncio.to_thread(process.start)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await asyncio.to_thread(process.stop)


async def test_the_real_server_speaks_the_dialect(tmp_path: Path) -> None:
    """Streams, counts tokens, continues a prefix without repeating it, stops when closed."""
    question = [("system", "You are helpful."), ("user", "Name three colours.")]
    async with embedded(tmp_path) as base_url:
        model = OpenAIChatModel(base_url, "m", continuation="llamacpp")
        await model.ready()
        started = time.monotonic()
        deltas = [one async for one in model.stream(Prompt(question, "", 0.0, 12))]
        assert "".join(one.text for one in deltas).strip()
        assert deltas[-1].finish_reason == "length"
        print(f"12 tokens in {(time.monotonic() - started) * 1000:.0f} ms")
        prefix = "Red is the colour of fire. Blue is"
        deltas = [one async for one in model.stream(Prompt(question, prefix, 0.0, 12))]
        continued = "".join(one.text for one in deltas)
        assert continued.strip()
        assert "Red is the colour of fire" not in continued
        async with aclosing(model.stream(Prompt(question, "", 0.0, 500))) as endless:
            await anext(endless)
        # One slot's worth of work is free again: the next answer does not wait for 500 tokens.
        again = time.monotonic()
        await anext(stream := model.stream(Prompt(question, "", 0.0, 5)))
        assert time.monotonic() - again < 1.0
        await stream.aclose()
        await model.aclose()


async def test_a_session_speaks_with_the_real_server(place: Workplace, tmp_path: Path) -> None:
    async with embedded(tmp_path) as base_url:
        settings = {"BASE_URL": base_url, "MODEL": "m", "CONTINUE": "llamacpp"}
        await place.start("llm", **settings)
        await place.give("llm", work(place, text="Tell me about the sea."))
        last = await answer(place)
    assert last.sentences
    assert last.finish_reason in ("stop", "length")
    texts = [text for _, text in await sentences_to_speak(place)]
    assert texts == list(last.sentences)


FINISHED = (
    *("what time do you open tomorrow", "how much does delivery cost", "no thanks that is all"),
    *("what is the capital of France", "do you sell coffee machines", "where can I park my car"),
    *("I would like to book a table for two", "could you please repeat that a little more slowly"),
    *("when does the next train to Berlin leave", "I don't understand the question"),
    *("are you open on Sundays", "what's the weather like today", "why is the sky blue"),
    *("can I return a kettle I bought two weeks ago", "my name is Anna and I have a problem"),
    *("tell me something about the history of this town", "I think the blue one is better"),
    *("can you show me the way to the station", "how long does the journey take"),
    *("please send me the bill by email",),
)


async def test_a_worker_scores_finished_turns_above_cut_ones(
    place: Workplace, tmp_path: Path
) -> None:
    """By the real model over the bus; while it talks to somebody else, too."""
    async with embedded(tmp_path) as base_url:
        await place.start("llm", BASE_URL=base_url, MODEL="m")
        took_s = []

        async def score(text: str) -> float:
            request = pb.ScoreRequest(session_id=place.session, text=text, before="Hello.")
            for _ in range(5):  # a busy machine may take longer than the worker waits
                asked_at = time.monotonic()
                data = await place.bus.request(
                    subjects.score(place.session), request.SerializeToString(), timeout_s=2
                )
                took_s.append(time.monotonic() - asked_at)
                reply = pb.ScoreReply.FromString(data)
                if reply.error.code != "MODEL_TIMEOUT":
                    break
            assert not reply.HasField("error"), reply
            return reply.probability

        # Whole and without the last word; a recogniser ends both with a stop.
        cuts = [one.rpartition(" ")[0] for one in FINISHED]
        pairs = [
            (await score(f"{one}."), await score(f"{cut}."))
            for one, cut in zip(FINISHED, cuts, strict=True)
        ]
        print("whole and cut:", [f"{whole:.2f} {cut:.2f}" for whole, cut in pairs])
        assert sum(whole > cut for whole, cut in pairs) >= 18
        assert statistics.median(whole for whole, _ in pairs) > 0.4
        assert statistics.median(cut for _, cut in pairs) < 0.1
        alone_ms = statistics.median(took_s) * 1000
        await place.give("llm", work(place, text="Tell me a long story about the sea."))
        took_s.clear()
        found: list[pb.GenerateResult] = []
        while not found:
            await score("what time do you open tomorrow")
            found = await place.stored(
                pb.GenerateResult, subjects.RESULTS, subjects.result("llm", place.session)
            )
        beside_s = statistics.median(took_s)
        print(f"a score takes {alone_ms:.0f} ms, beside an answer {beside_s * 1000:.0f} ms")
        assert beside_s < 0.5
