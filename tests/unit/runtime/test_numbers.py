"""Subjects, message ids, epochs and PCM lengths."""

from tests.support.memory_streams import MemoryStream, declared
from visavis_runtime import subjects

SID = "01HZX"


def test_every_subject_ends_with_the_session_and_belongs_to_its_stream() -> None:
    streams = {name: MemoryStream(numbers) for name, numbers in declared().items()}
    placed = {
        subjects.job(SID): subjects.JOBS,
        subjects.work("asr", SID): subjects.WORK,
        subjects.result("llm", SID): subjects.RESULTS,
        subjects.speech(SID): subjects.SPEECH,
        subjects.event("turn", SID): subjects.EVENTS,
        subjects.dead_letter("tts", SID): subjects.DLQ,
        f"$KV.vv_sessions.{SID}.spec": subjects.SESSIONS_STREAM,
    }
    for subject, stream in placed.items():
        assert [name for name, one in streams.items() if one.captures(subject)] == [stream]
    for subject in (subjects.cancel(SID), subjects.control(SID)):
        assert not any(stream.captures(subject) for stream in streams.values())
        assert subjects.session_of(subject) == SID
    assert not streams[subjects.EVENTS].captures(f"vv.event.turn.committed.{SID}")


def test_a_later_generations_first_epoch_is_above_all_earlier_ones() -> None:
    assert subjects.epoch(2, 0) > subjects.epoch(1, 2**32 - 1)
    assert subjects.generation_of(subjects.epoch(7, 123)) == 7


def test_message_ids_are_those_of_the_protocol() -> None:
    assert subjects.asr_id(SID, 1, 2, 3) == "01HZX/1/2/3/asr"
    assert subjects.llm_id(SID, 5) == "01HZX/5/llm"
    assert subjects.llm_id(SID, 5, 0) == "01HZX/5/llm/0"
    assert subjects.llm_id(SID, 5, "end") == "01HZX/5/llm/end"
    assert subjects.tts_id(SID, 5, 0, 1) == "01HZX/5/tts/0/1"


def test_the_longest_utterance_is_28_s_and_fits_a_message() -> None:
    longest = subjects.MAX_UTTERANCE_BYTES
    assert longest == 28 * subjects.ASR_RATE_HZ * subjects.BYTES_PER_SAMPLE
    assert longest < declared()[subjects.WORK]["max_msg_size"]
