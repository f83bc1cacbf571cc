"""The language model handlers on the in-memory bus."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError

from tests.support.memory_bus import MemoryBus
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_llm import worker as module
from visavis_llm.engine import SERVER_DOWN, TIMEOUT, Delta, ModelError, Prompt
from visavis_llm.fake import FakeChatModel
from visavis_llm.worker import Worker, parse, prompt
from visavis_runtime import subjects
from visavis_runtime.bus import Guard, Receipt
from visavis_runtime.errors import BusUnavailable, Poison

EPOCH = 1 << 32 | 5
TEXT = "This is one. Here is two. And three."
SENTENCES = ["This is one.", "Here is two.", "And three."]


def work(*, epoch: int = EPOCH, prefix: tuple[str, ...] = ()) -> pb.GenerateWork:
    at = pb.Address(session_id="s1", generation=1, turn=2, epoch=epoch)
    messages = [
        pb.ChatMessage(role="system", content="Be brief."),
        pb.ChatMessage(role="user", content="Say something."),
    ]
    return pb.GenerateWork(
        address=at, messages=messages, prefix=prefix, voice="heart", language="en", temperature=0.5
    )


async def results(bus: MemoryBus) -> list[pb.GenerateResult]:
    stored = bus.replay(subjects.RESULTS, subjects.result("llm", "s1"))
    return [pb.GenerateResult.FromString(one.data) async for one in stored]


def sound_work(bus: MemoryBus) -> list[pb.SynthesizeWork]:
    found = bus.server.streams[subjects.WORK].select(subjects.work("tts", "s1"), time.time())
    return [pb.SynthesizeWork.FromString(one.data) for one in found]


class Scripted(FakeChatModel):
    """Plays one script a call: texts, a finish reason after `/`, errors. Keeps the prompts."""

    def __init__(self, *scripts: Sequence[str | ModelError], can_continue: bool = True) -> None:
        super().__init__("")
        self.can_continue = can_continue
        self.prompts: list[Prompt] = []
        self._scripts: Iterator[Sequence[str | ModelError]] = iter(scripts)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        self.prompts.append(prompt)
        for step in next(self._scripts):
            if isinstance(step, ModelError):
                raise step
            yield Delta("", step[1:]) if step.startswith("/") else Delta(step)


def down() -> ModelError:
    return ModelError(SERVER_DOWN, "no connection")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "RETRY_FOR_S", 0.1)


async def test_results_are_cumulative_and_each_sentence_goes_to_synthesis() -> None:
    bus = MemoryBus()
    await Worker(bus, FakeChatModel(TEXT), "w1").handle(work())
    found = await results(bus)
    assert [list(result.sentences) for result in found] == [
        SENTENCES[:1],
        SENTENCES[:2],
        SENTENCES,
        SENTENCES,
    ]
    assert [result.complete for result in found] == [False, False, False, True]
    assert found[-1].finish_reason == "stop"
    assert {result.instance for result in found} == {"w1"}
    assert all(result.HasField("first_token") and result.HasField("took") for result in found)
    sounds = sound_work(bus)
    assert [(sound.sentence, sound.attempt, sound.text) for sound in sounds] == [
        (n, 0, text) for n, text in enumerate(SENTENCES)
    ]
    assert {(sound.voice, sound.language, sound.address.epoch) for sound in sounds} == {
        ("heart", "en", EPOCH)
    }


async def test_of_a_speculative_answer_only_the_first_sentences_go_to_synthesis() -> None:
    bus = MemoryBus()
    speculative = work()
    speculative.speculative = True
    for instance in ("w1", "w2"):  # the second one takes over what is complete
        await Worker(bus, FakeChatModel(TEXT), instance).handle(speculative)
    last = (await results(bus))[-1]
    assert (list(last.sentences), last.complete) == (SENTENCES, True)
    spoken = [sound.text for sound in sound_work(bus)]
    assert spoken == SENTENCES[: subjects.SPECULATIVE_SENTENCES]
    assert len(spoken) < len(SENTENCES)


async def test_a_first_clause_is_a_sentence_of_its_own_and_is_continued_behind() -> None:
    bus = MemoryBus()
    one = Scripted(["Of course I can, just", down()], [" just wait. Now", " go.", "/stop"])
    await Worker(bus, one, "w1").handle(work())
    assert [prompt.prefix for prompt in one.prompts] == ["", "Of course I can,"]
    sentences = ["Of course I can,", "just wait.", "Now go."]
    assert list((await results(bus))[-1].sentences) == sentences
    assert [(sound.sentence, sound.text) for sound in sound_work(bus)] == list(enumerate(sentences))


class Ordered(MemoryBus):
    """Remembers the order of writes."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
    ) -> Receipt:
        receipt = await super().store(subject, data, message_id=message_id, guard=guard)
        self.ids.append(message_id.partition(f"{EPOCH}/")[2])
        return receipt


async def test_a_result_stands_before_its_synthesis_is_asked_for() -> None:
    bus = Ordered()
    await Worker(bus, FakeChatModel("This is one. Here is two."), "w1").handle(work())
    assert bus.ids == ["llm/0", "tts/0/0", "llm/1", "tts/1/0", "llm/end"]


async def test_doing_it_again_changes_nothing_and_asks_no_model() -> None:
    bus, model = MemoryBus(), Scripted([TEXT, "/stop"])
    for instance in ("w1", "w2"):
        await Worker(bus, model, instance).handle(work())
    assert len(await results(bus)) == 4
    assert len(sound_work(bus)) == 3
    assert len(model.prompts) == 1


async def die_after(bus: MemoryBus, sentences: int) -> None:
    """A worker that ends in the middle of its answer."""
    model = FakeChatModel(TEXT, token_s=0.002)
    task = asyncio.create_task(Worker(bus, model, "dead").handle(work()))
    async with asyncio.timeout(5):
        while len(await results(bus)) < sentences:
            await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_second_worker_continues_where_the_first_one_died() -> None:
    bus = MemoryBus()
    await die_after(bus, 2)
    model = Scripted([" And three.", "/stop"])
    await Worker(bus, model, "w2").handle(work())
    assert model.prompts[0].prefix == "This is one. Here is two."
    last = (await results(bus))[-1]
    assert (list(last.sentences), last.complete, last.instance) == (SENTENCES, True, "w2")
    assert [sound.text for sound in sound_work(bus)] == SENTENCES


async def test_a_sentence_whose_synthesis_was_not_asked_for_is_not_lost() -> None:
    bus = MemoryBus()
    half = pb.GenerateResult(address=work().address, instance="dead", sentences=SENTENCES[:1])
    message_id = subjects.llm_id("s1", EPOCH, 0)
    subject = subjects.result("llm", "s1")
    await bus.store(subject, half.SerializeToString(), message_id=message_id)
    await Worker(bus, Scripted([" Here is two.", "/stop"]), "w2").handle(work())
    assert [sound.text for sound in sound_work(bus)] == SENTENCES[:2]


async def test_a_model_that_cannot_continue_ends_the_answer() -> None:
    bus = MemoryBus()
    await die_after(bus, 2)
    model = Scripted(can_continue=False)
    await Worker(bus, model, "w2").handle(work())
    last = (await results(bus))[-1]
    assert (list(last.sentences), last.complete) == (SENTENCES[:2], True)
    assert last.finish_reason == "cannot_continue"
    assert not model.prompts


async def test_a_prefix_is_continued_and_only_what_follows_goes_to_synthesis() -> None:
    bus, model = MemoryBus(), Scripted([" Here is two. And three.", "/stop"])
    await Worker(bus, model, "w1").handle(work(prefix=("This is one.",)))
    assert model.prompts[0].prefix == "This is one."
    assert list((await results(bus))[0].sentences) == SENTENCES[:2]
    assert [(s.sentence, s.text) for s in sound_work(bus)] == list(enumerate(SENTENCES))[1:]


async def test_work_below_the_last_results_epoch_is_dropped() -> None:
    bus, model = MemoryBus(), Scripted([TEXT, "/stop"])
    worker = Worker(bus, model, "w1")
    await worker.handle(work(epoch=EPOCH + 1))
    await worker.handle(work(epoch=EPOCH))
    assert len(model.prompts) == 1
    assert {result.address.epoch for result in await results(bus)} == {EPOCH + 1}


async def test_a_worker_that_is_overtaken_stops() -> None:
    bus = MemoryBus()
    slow = FakeChatModel(TEXT, first_token_s=0.05)
    overtaken = asyncio.create_task(Worker(bus, slow, "slow").handle(work()))
    await asyncio.sleep(0)
    await Worker(bus, FakeChatModel("Another one. And two."), "fast").handle(work())
    await asyncio.wait_for(overtaken, 5)
    found = await results(bus)
    assert {result.instance for result in found} == {"fast"}
    assert [sound.text for sound in sound_work(bus)] == ["Another one.", "And two."]


class LostReceipt(MemoryBus):
    """Every write arrives; the receipt of the first is lost, so the adapter writes it again."""

    async def store(
        self, subject: str, data: bytes, *, message_id: str = "", guard: Guard | None = None
    ) -> Receipt:
        await super().store(subject, data, message_id=message_id, guard=guard)
        return await super().store(subject, data, message_id=message_id, guard=guard)


async def test_a_receipt_that_was_lost_is_no_reason_to_stop() -> None:
    bus = LostReceipt()
    await Worker(bus, FakeChatModel(TEXT), "w1").handle(work())
    assert (await results(bus))[-1].complete


async def test_a_failure_is_tried_again_from_the_sentences_that_exist() -> None:
    bus = MemoryBus()
    model = Scripted(
        [down()], ["This is one. Here", down()], [" Here is two.", " And three.", "/stop"]
    )
    await Worker(bus, model, "w1").handle(work())
    assert [prompt.prefix for prompt in model.prompts] == ["", "", "This is one."]
    assert list((await results(bus))[-1].sentences) == SENTENCES


async def test_a_model_that_stays_away_is_given_up_soon_with_its_code() -> None:
    model = Scripted(*[[down()]] * 50)
    with pytest.raises(Poison, match="no connection") as given_up:
        await asyncio.wait_for(Worker(MemoryBus(), model, "w1").handle(work()), 5)
    assert given_up.value.code == "MODEL_SERVER_DOWN"
    assert 2 < len(model.prompts) < 12


async def test_what_cannot_be_tried_again_is_not() -> None:
    model = Scripted([ModelError(TIMEOUT, "status 401", can_retry=False)])
    with pytest.raises(Poison):
        await Worker(MemoryBus(), model, "w1").handle(work())
    assert len(model.prompts) == 1


async def test_an_answer_without_a_word_is_an_error() -> None:
    for script in (["/stop"], [" 🙂 \n", "/stop"], ["/length"]):
        with pytest.raises(Poison) as empty:
            await Worker(MemoryBus(), Scripted(script), "w1").handle(work())
        assert empty.value.code == "EMPTY_ANSWER"


async def test_a_model_with_nothing_to_add_to_a_prefix_has_finished() -> None:
    bus = MemoryBus()
    await Worker(bus, Scripted(["/stop"]), "w1").handle(work(prefix=("All.",)))
    (only,) = await results(bus)
    assert (list(only.sentences), only.complete) == (["All."], True)


async def test_an_answer_cut_by_its_length_ends_at_a_sentence() -> None:
    bus = MemoryBus()
    await Worker(bus, Scripted(["This is one. And then", "/length"]), "w1").handle(work())
    last = (await results(bus))[-1]
    assert (list(last.sentences), last.finish_reason) == (SENTENCES[:1], "length")


async def test_an_endless_answer_is_cut() -> None:
    bus = MemoryBus()
    await Worker(bus, Scripted(["And on it goes. "] * 1000), "w1").handle(work())
    last = (await results(bus))[-1]
    assert (last.complete, last.finish_reason) == (True, "length")


async def test_an_error_keeps_the_sentences_and_ends_the_answer() -> None:
    bus = MemoryBus()
    await die_after(bus, 1)
    worker = Worker(bus, Scripted(), "w2")
    for _ in range(2):
        await worker.fail(work().address, work(), pb.StageError(code=TIMEOUT, message="late"))
    found = await results(bus)
    assert [result.error.code for result in found] == ["", "MODEL_TIMEOUT"]
    assert list(found[-1].sentences) == SENTENCES[:1]
    await worker.handle(work())
    assert len(await results(bus)) == 2


async def test_a_bus_that_fails_is_not_the_models_fault() -> None:
    bus = MemoryBus()
    bus.server.down = True
    with pytest.raises(BusUnavailable):
        await Worker(bus, FakeChatModel(TEXT), "w1").handle(work())


def test_the_prompt_says_what_it_is_for() -> None:
    asked = prompt(work(), ["One.", "Two."])
    assert asked.messages == [("system", "Be brief."), ("user", "Say something.")]
    assert (asked.prefix, asked.temperature) == ("One. Two.", 0.5)
    assert asked.max_output_tokens == 200
    assert asked.headers == {
        "X-Request-Id": f"s1/{EPOCH}",
        "X-Visavis-Session": "s1",
        "X-Visavis-Turn": "2",
        "X-Visavis-Epoch": str(EPOCH),
        "X-Visavis-Speculative": "false",
    }


def bad_work(**changes: object) -> pb.GenerateWork:
    bad = work()
    del bad.messages[:]
    if role := changes.get("role"):
        bad.messages.append(pb.ChatMessage(role=str(role), content="x"))
    if size := changes.get("size"):
        bad.messages.append(pb.ChatMessage(role="user", content="x" * int(str(size))))
    return bad


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (bad_work(), "EMPTY", "messages"),
        (bad_work(role="tool"), "UNKNOWN_ROLE", r"messages\[0\].role"),
        (bad_work(size=256 * 1024), "TOO_LONG", "messages"),
    ],
)
async def test_bad_work_is_refused_with_the_fields_name(
    bad: pb.GenerateWork, code: str, field: str
) -> None:
    model = Scripted()
    with pytest.raises(Poison, match=rf"^{field}: ") as refused:
        await Worker(MemoryBus(), model, "w1").handle(bad)
    assert refused.value.code == code


def test_work_without_a_session_is_not_work() -> None:
    assert parse(work().SerializeToString()) == work()
    with pytest.raises(Poison, match="session_id"):
        parse(b"")
    with pytest.raises(DecodeError):
        parse(b"\xff\xff")
