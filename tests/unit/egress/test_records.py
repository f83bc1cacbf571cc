"""Commands to messages, messages to events, and what is asked of the stages."""

import pytest

from tests.support.memory_bus import MemoryServer
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress import records
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
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
    return records.generated_result(result)


def test_results_of_generation() -> None:
    assert _generated("A.") == [on.SentencesReady(EPOCH, ("A.",), False)]
    assert _generated("A.", complete=True) == [on.SentencesReady(EPOCH, ("A.",), True)]
    assert _generated(complete=True) == [on.SentencesReady(EPOCH, (), True)]
    failed = on.GenerateFailed(EPOCH, "BROKEN")
    assert _generated(error=True) == [failed]
    # What there is first: it is spoken, and nothing follows.
    assert _generated("A.", error=True) == [on.SentencesReady(EPOCH, ("A.",), False), failed]


def test_results_of_recognition() -> None:
    result = pb.TranscribeResult(address=ADDRESS, revision=2, text="Hi.", confidence=0.75)
    assert records.heard_result(result) == on.Transcribed(2, "Hi.", 0.75)
    result.error.CopyFrom(BROKEN)
    assert records.heard_result(result) == on.TranscribeFailed(2, "BROKEN")


def test_words_so_far() -> None:
    part = pb.PartialTranscript(address=ADDRESS, revision=2, text="Hi the")
    assert records.heard_part(part) == on.PartlyTranscribed(2, "Hi the")


def _chunk(rate_hz: int = 24_000, pcm: bytes = b"abcd") -> on.Event:
    chunk = pb.SpeechChunk(sample_offset=7, sample_rate_hz=rate_hz, pcm=pcm)
    return records.speech(pb.Speech(address=ADDRESS, sentence=1, chunk=chunk))


def test_pieces_of_speech() -> None:
    assert _chunk() == on.SpeechArrived(EPOCH, 1, 7, b"abcd")
    wrong = on.SynthesizeFailed(EPOCH, 1, "WRONG_AUDIO_FORMAT")
    assert _chunk(rate_hz=16_000) == wrong
    assert _chunk(pcm=b"odd") == wrong
    end = pb.Speech(address=ADDRESS, sentence=1, end=pb.SpeechEnd(chunks=1, samples=2400))
    assert records.speech(end) == on.SpeechEnded(EPOCH, 1, 2400)
    failed = pb.SynthesizeResult(address=ADDRESS, sentence=1, error=BROKEN)
    assert records.spoken_result(failed) == on.SynthesizeFailed(EPOCH, 1, "BROKEN")


# What is asked of the stages


@pytest.fixture
def works(server: MemoryServer) -> Works:
    return Works(server.connect(), SID, 3, pb.ResolvedCharacter(language="en"))


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
