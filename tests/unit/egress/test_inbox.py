"""The inbox between the bus and the conversation: what arrives, whose it is, and what it cost."""

import pytest

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress.conversation import events as on
from visavis_egress.inbox import Inbox
from visavis_egress.waste import Waste
from visavis_runtime import subjects

SID = "01J00000000000000000000000"
EPOCH = subjects.epoch(3, 1)
ADDRESS = pb.Address(session_id=SID, generation=3, turn=1, epoch=EPOCH)
BROKEN = pb.StageError(code="BROKEN")


class Account(Waste):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[object, ...]] = []

    def recognised(self, revision: int, seconds: float) -> None:
        self.told.append(("asr", revision, seconds))

    def generated(self, epoch: int, seconds: float) -> None:
        self.told.append(("llm", epoch, seconds))

    def spoken(self, epoch: int, sentence: int, seconds: float) -> None:
        self.told.append(("tts", epoch, sentence, seconds))


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def heard() -> list[on.Event]:
    return []


@pytest.fixture
def bus(server: MemoryServer) -> MemoryBus:
    return server.connect()


@pytest.fixture
def inbox(bus: MemoryBus, heard: list[on.Event], account: Account) -> Inbox:
    return Inbox(bus, SID, 3, heard.append, account)


TEXT = pb.TranscribeResult(address=ADDRESS, revision=1, text="Hi.").SerializeToString()
SENTENCES = pb.GenerateResult(address=ADDRESS, sentences=["A."]).SerializeToString()
SILENT = pb.SynthesizeResult(address=ADDRESS, error=BROKEN).SerializeToString()
SOUND = pb.Speech(address=ADDRESS, end=pb.SpeechEnd(samples=1)).SerializeToString()
PART = pb.PartialTranscript(address=ADDRESS, revision=1, text="H").SerializeToString()
ALL = [
    on.Transcribed(1, "Hi."),
    on.SentencesReady(EPOCH, ("A.",), False),
    on.SynthesizeFailed(EPOCH, 0, "BROKEN"),
    on.SpeechEnded(EPOCH, 0, 1),
    on.PartlyTranscribed(1, "H"),
]
SUBJECTS = (
    *(subjects.result(stage, SID) for stage in ("asr", "llm", "tts")),
    subjects.speech(SID),
    subjects.partial_transcript(SID),
)


async def test_everything_of_the_session_arrives_and_nothing_else(
    bus: MemoryBus, inbox: Inbox, heard: list[on.Event]
) -> None:
    listening = await inbox.subscribe()
    for subject, data in zip(SUBJECTS, (TEXT, SENTENCES, SILENT, SOUND, PART), strict=True):
        await bus.publish(subject, data)
        await bus.publish(subject.replace(SID, "01J00000000000000000000001"), data)
    await until(lambda: len(heard) >= 5, "five events")
    assert heard == ALL
    for one in listening:
        await one.aclose()
    await bus.publish(SUBJECTS[0], TEXT)
    assert heard == ALL


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05abc", b"", b"\x00" * 100])
async def test_malformed_bytes_are_dropped(
    bus: MemoryBus, inbox: Inbox, heard: list[on.Event], data: bytes
) -> None:
    await inbox.subscribe()
    for subject in SUBJECTS:
        await bus.publish(subject, data)
    await bus.publish(SUBJECTS[1], SENTENCES)
    await until(lambda: ALL[1] in heard, "the good one")
    # An empty message is well formed: it belongs to no epoch, so the conversation drops it.
    rest = [event for event in heard if event != ALL[1]]
    assert all(getattr(event, "epoch", None) == 0 for event in rest), rest


async def test_what_was_missed_is_looked_up(
    bus: MemoryBus, inbox: Inbox, heard: list[on.Event]
) -> None:
    await inbox.look_up()
    assert not heard
    await bus.store(SUBJECTS[0], TEXT)
    for sentences in (["A."], ["A.", "B."]):
        result = pb.GenerateResult(address=ADDRESS, sentences=sentences)
        await bus.store(SUBJECTS[1], result.SerializeToString())
    await inbox.look_up()
    assert heard == [ALL[0], on.SentencesReady(EPOCH, ("A.", "B."), False)]


async def test_speech_is_repaired_from_the_stream(
    bus: MemoryBus, inbox: Inbox, heard: list[on.Event]
) -> None:
    await bus.store(SUBJECTS[3], SOUND)
    await bus.store(SUBJECTS[3], b"\xff\xff")
    await inbox.repair_speech()
    assert heard == [ALL[3]]


@pytest.mark.parametrize("generation", [2, 4])
async def test_what_another_holder_had_recognised_is_not_ours(
    bus: MemoryBus, inbox: Inbox, heard: list[on.Event], account: Account, generation: int
) -> None:
    await inbox.subscribe()
    theirs = pb.Address(session_id=SID, generation=generation, turn=1)
    result = pb.TranscribeResult(address=theirs, revision=2, text="Hi.")
    part = pb.PartialTranscript(address=theirs, revision=2, text="Hi")
    await bus.publish(SUBJECTS[0], result.SerializeToString())
    await bus.publish(SUBJECTS[4], part.SerializeToString())
    await bus.publish(SUBJECTS[3], SOUND)
    await until(lambda: heard, "the one that is ours")
    assert heard == [ALL[3]]
    assert [stage for stage, *_ in account.told] == ["tts"]


async def test_results_are_told_with_what_they_cost(
    bus: MemoryBus, inbox: Inbox, heard: list[on.Event], account: Account
) -> None:
    await inbox.subscribe()
    text, made = pb.TranscribeResult.FromString(TEXT), pb.GenerateResult.FromString(SENTENCES)
    end, chunk = pb.Speech.FromString(SOUND), pb.Speech(address=ADDRESS)
    text.took.FromMilliseconds(200)
    made.took.FromMilliseconds(400)
    end.end.took.FromMilliseconds(50)
    chunk.chunk.sample_rate_hz, chunk.chunk.pcm = subjects.SPEECH_RATE_HZ, b"abcd"
    for number, message in ((0, text), (1, made), (3, chunk), (3, end), (4, None)):
        await bus.publish(SUBJECTS[number], message.SerializeToString() if message else PART)
    await until(lambda: len(heard) >= 5, "five events")
    assert account.told == [("asr", 1, 0.2), ("llm", EPOCH, 0.4), ("tts", EPOCH, 0, 0.05)]
