"""Subjects (type first, session id last), stream names, message ids, epochs, sizes, rates."""

JOBS, WORK, RESULTS = "VV_JOBS", "VV_WORK", "VV_RESULTS"
SPEECH, EVENTS, DLQ = "VV_SPEECH", "VV_EVENTS", "VV_DLQ"
SESSIONS_STREAM, SESSIONS = "KV_vv_sessions", "$KV.vv_sessions."

MAX_LLM_WORK_BYTES = 256 * 1024
MAX_TEXT_CHARACTERS = 2_000  # of one text to be said or answered
MAX_UTTERANCE_BYTES = 896_000  # 28 s at ASR_RATE_HZ, the longest snapshot that fits a message
ASR_RATE_HZ = 16_000
SPEECH_RATE_HZ = 24_000
BYTES_PER_SAMPLE = 2  # mono s16le, the only audio format on the bus
SPECULATIVE_SENTENCES = 2
"""So many are spoken of an answer that may be thrown away: enough to play until the rest comes."""


def job(session_id: str) -> str:
    """The lease of a session."""
    return f"vv.job.egress.{session_id}"


def work(stage: str, session_id: str) -> str:
    return f"vv.work.{stage}.{session_id}"


def result(stage: str, session_id: str) -> str:
    return f"vv.result.{stage}.{session_id}"


def speech(session_id: str) -> str:
    return f"vv.speech.{session_id}"


def partial_transcript(session_id: str) -> str:
    """What a person said so far; never stored."""
    return f"vv.partial.transcript.{session_id}"


def score(session_id: str) -> str:
    return f"vv.score.{session_id}"


def event(kind: str, session_id: str) -> str:
    """Confirmed facts of one kind; `*` for all kinds."""
    return f"vv.event.{kind}.{session_id}"


def dead_letter(stage: str, session_id: str) -> str:
    return f"vv.dlq.{stage}.{session_id}"


def cancel(session_id: str) -> str:
    """Raises the lowest epoch that counts."""
    return f"vv.cancel.{session_id}"


def control(session_id: str) -> str:
    """Requests to the holder of a session."""
    return f"vv.control.{session_id}"


def session_of(subject: str) -> str:
    return subject.rpartition(".")[2]


def epoch(generation: int, counter: int) -> int:
    """One attempt at an answer; a later holder's first epoch is above all of an earlier one's."""
    return generation << 32 | counter


def generation_of(an_epoch: int) -> int:
    return an_epoch >> 32


def asr_id(session_id: str, generation: int, turn: int, revision: int) -> str:
    """Message id of recognition work."""
    return f"{session_id}/{generation}/{turn}/{revision}/asr"


def llm_id(session_id: str, an_epoch: int, part: int | str | None = None) -> str:
    """Message id of generation work (`part` None), of its n-th result, or of `end` and `error`."""
    return f"{session_id}/{an_epoch}/llm" + ("" if part is None else f"/{part}")


def tts_id(session_id: str, an_epoch: int, sentence: int, attempt: int) -> str:
    """Message id of one sentence's synthesis."""
    return f"{session_id}/{an_epoch}/tts/{sentence}/{attempt}"
