"""Commands to messages, messages to events, and the inbox between the bus and the conversation."""

import pytest

from tests.support.memory_bus import MemoryBus, MemoryServer
from tests.support.waiting import until
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress import records
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.inbox import Inbox
from visavis_egress.works import Works
from visavis_runtime import subjects
from visavis_runtime.errors import BusUnavailable

SID = "01J00000000000000000000000"
EPOCH = subjects.epoch(3, 1)
ADDRESS = pb.Address(session_id=SID, generation=3, turn=1, epoch=EPOCH)
BROKEN = pb.StageError(code="BROKEN")


@pytest.mark.parametrize("origin", list(do.Origin))
def test_a_turn_from_its_commit_to_its_end(origin: do.Origin) -> None:
    kind, event = records.committed(do.Commit(4, origin, "Why?", "r"))
    assert kind == "turn"
    assert event.turn.origin == origin.value
    assert (event.turn.turn, event.turn.input_text, event.turn.request_id) == (4, "Why?", "r")
    anchors = do.Anchors(10.0, endpoint=10.5, first_audio=11.25)
    for interrupted, step in ((False, "COMPLETED"), (True, "INTERRUPTED")):
        _, event = records.outcome(
            do.RecordOutcome(4, origin, "Why?", "Because", interrupted, anchors)
        )
        assert event.turn.step == getattr(api.TurnEvent, f"STEP_{step}")
        assert (event.turn.origin, event.turn.heard_text) == (origin.value, "Because")
    waterfall = event.turn.waterfall
    assert waterfall.endpoint.ToMilliseconds() == 500
    assert waterfall.first_audio.ToMilliseconds() == 1250
    assert not waterfall.HasField("transcript")


def test_facts_of_the_person_and_the_agent() -> None:
    assert records.presence(do.RecordPresence(True))[1].user.step == api.UserEvent.STEP_JOINED
    assert records.presence(do.RecordPresence(False))[1].user.step == api.UserEvent.STEP_LEFT
    kind, event = records.transcript(do.RecordTranscript(2, "Hi."))
    assert (kind, event.user.text, event.user.turn) == ("user", "Hi.", 2)
    _, event = records.sentence(do.RecordSentence(2, 1, "Well."))
    assert (event.agent.turn, event.agent.sentence, event.agent.text) == (2, 1, "Well.")
    _, event = records.playback(do.RecordPlayback(2, 1, repeated=True))
    assert (event.agent.sentence, event.agent.repeated) == (1, True)
    _, event = records.state(do.SetState(do.State.THINKING))
    assert event.agent.state == "thinking"
    kind, event = records.error(do.RecordError("tts", "GONE", "text", 2, apologised=True))
    assert (kind, event.error.stage, event.error.code) == ("error", "tts", "GONE")
    assert event.error.apologised


def test_a_checkpoint_keeps_the_words_and_the_numbers() -> None:
    history = (("user", "Hi."), ("assistant", "Hello."))
    saved = records.checkpoint(do.SaveCheckpoint(5, history, EPOCH))
    assert (saved.turn, saved.epoch) == (5, EPOCH)
    assert [(one.role, one.content) for one in saved.history] == list(history)


def _generated(*sentences: str, complete: bool = False, error: bool = False) -> list[on.Event]:
    result = pb.GenerateResult(address=ADDRESS, sentences=sentences, complete=complete)
    if error:
        result.error.CopyFrom(BROKEN)
    return records.generated_result(result.SerializeToString())


def test_results_of_generation() -> None:
    assert _generated("A.") == [on.SentencesReady(EPOCH, ("A.",), False)]
    assert _generated("A.", complete=True) == [on.SentencesReady(EPOCH, ("A.",), True)]
    assert _generated(complete=True) == [on.SentencesReady(EPOCH, (), True)]
    failed = on.GenerateFailed(EPOCH, "BROKEN")
    assert _generated(error=True) == [failed]
    # What there is first: it is spoken, and nothing follows.
    assert _generated("A.", error=True) == [on.SentencesReady(EPOCH, ("A.",), False), failed]


def test_results_of_recognition_are_told_by_their_generation() -> None:
    result = pb.TranscribeResult(address=ADDRESS, revision=2, text="Hi.", confidence=0.75)
    assert records.heard_result(result.SerializeToString(), 3) == on.Transcribed(2, "Hi.", 0.75)
    assert records.heard_result(result.SerializeToString(), 4) is None
    result.error.CopyFrom(BROKEN)
    assert records.heard_result(result.SerializeToString(), 3) == on.TranscribeFailed(2, "BROKEN")


def test_words_so_far_are_told_by_their_generation() -> None:
    part = pb.PartialTranscript(address=ADDRESS, revision=2, text="Hi the").SerializeToString()
    assert records.heard_part(part, 3) == on.PartlyTranscribed(2, "Hi the")
    assert records.heard_part(part, 2) is None


def _chunk(rate_hz: int = 24_000, pcm: bytes = b"abcd") -> on.Event:
    chunk = pb.SpeechChunk(sample_offset=7, sample_rate_hz=rate_hz, pcm=pcm)
    return records.speech(pb.Speech(address=ADDRESS, sentence=1, chunk=chunk).SerializeToString())


def test_pieces_of_speech() -> None:
    assert _chunk() == on.SpeechArrived(EPOCH, 1, 7, b"abcd")
    wrong = on.SynthesizeFailed(EPOCH, 1, "WRONG_AUDIO_FORMAT")
    assert _chunk(rate_hz=16_000) == wrong
    assert _chunk(pcm=b"odd") == wrong
    end = pb.Speech(address=ADDRESS, sentence=1, end=pb.SpeechEnd(chunks=1, samples=2400))
    assert records.speech(end.SerializeToString()) == on.SpeechEnded(EPOCH, 1, 2400)
    failed = pb.SynthesizeResult(address=ADDRESS, sentence=1, error=BROKEN)
    assert records.spoken_result(failed.SerializeToString()) == on.SynthesizeFailed(
        EPOCH, 1, "BROKEN"
    )


# What is asked of the stages


@pytest.fixture
def works(bus: MemoryBus) -> Works:
    return Works(bus, SID, 3, pb.ResolvedCharacter(language="en"))


def _asked(server: MemoryServer, stage: str) -> list[bytes]:
    stream = server.streams[subjects.WORK]
    return [one.data for one in stream.select(subjects.work(stage, SID), server.clock())]


async def test_a_snapshot_is_asked_for_once_and_a_partial_one_says_so(
    server: MemoryServer, works: Works
) -> None:
    for partial in (True, False, False):
        await works.transcribe(do.Transcribe(1, 2, b"ab", partial=partial))
    asked = [pb.TranscribeWork.FromString(data) for data in _asked(server, "asr")]
    assert [(one.revision, one.pcm, one.partial) for one in asked] == [
        (2, b"ab", True),
        (2, b"ab", False),
    ]


async def test_a_partial_snapshot_is_lost_with_the_bus(server: MemoryServer, works: Works) -> None:
    server.down = True
    await works.transcribe(do.Transcribe(1, 2, b"ab", partial=True))
    with pytest.raises(BusUnavailable):
        await works.transcribe(do.Transcribe(1, 2, b"ab"))


@pytest.mark.parametrize("speculative", [True, False])
async def test_an_answer_is_asked_for_with_what_is_known_of_its_turn(
    server: MemoryServer, works: Works, speculative: bool
) -> None:
    await works.generate(do.Generate(1, EPOCH, (("user", "Why?"),), speculative=speculative))
    (asked,) = (pb.GenerateWork.FromString(data) for data in _asked(server, "llm"))
    assert (asked.speculative, asked.address.epoch) == (speculative, EPOCH)


# The inbox


@pytest.fixture
def heard() -> list[on.Event]:
    return []


@pytest.fixture
def bus(server: MemoryServer) -> MemoryBus:
    return server.connect()


@pytest.fixture
def inbox(bus: MemoryBus, heard: list[on.Event]) -> Inbox:
    return Inbox(bus, SID, 3, heard.append)


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
