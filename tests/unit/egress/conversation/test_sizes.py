"""Long speech, long answers, long texts: sizes and time."""

import time
from dataclasses import replace

from tests.unit.egress.conversation.driver import (
    PATIENT_MODEL,
    Stage,
    frames_of,
    sound,
)
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on


def test_what_does_not_fit_a_request_is_left_out_and_reported(stage: Stage) -> None:
    for _ in range(3):
        stage.type("x" * 100_000)
        stage.answer("Long.", seconds=0.2)
        stage.wait(4)
    error = stage.last(do.RecordError)
    assert (error.code, error.apologised) == ("CONTEXT_TRIMMED", False)
    assert "1 oldest" in error.message
    for ask in stage.all(do.Generate):
        assert sum(len(text.encode()) for _, text in ask.messages) <= 240_000
    checkpoint = stage.last(do.SaveCheckpoint)
    assert sum(len(text.encode()) for _, text in checkpoint.history) <= 240_000


def test_ten_minutes_of_speech_arrive_whole_and_in_time() -> None:
    # The pauses are no dips: every snapshot is a part of its own.
    stage = Stage(taking=replace(PATIENT_MODEL, dip_s=0.3)).seat()
    began = time.process_time()
    first_half = 0.0
    for minute in range(10):
        for _ in range(12):
            stage.voice(4.8)
            stage.silence(0.2)
            for command in stage.snapshots:
                stage.feed(on.Transcribed(command.revision, f"part{command.revision}"))
        if minute == 4:
            first_half = time.process_time() - began
    whole = time.process_time() - began
    stage.silence(0.6)
    parts = stage.snapshots
    stage.recognise(f"part{parts[-1].revision}")
    assert all(len(part.pcm) <= 896_000 for part in parts)
    heard = [number for part in parts for number in frames_of(part.pcm)]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) * 0.032 > 590
    commits = stage.all(do.Commit)
    assert [commit.text for commit in commits] == [
        " ".join(f"part{part.revision}" for part in parts)
    ]
    assert whole < 15
    assert whole - first_half < 3 * first_half + 1


def test_a_long_answer_is_handed_over_in_time(stage: Stage) -> None:
    stage.feed(on.SayRequested("r1", "long"))
    stage.feed(on.TurnCommitted(1))
    epoch = stage.generate("a word " * 600)
    began = time.process_time()
    pcm = b"".join(sound(index, 24_000) for index in range(300))
    for index in reversed(range(300)):
        stage.feed(on.SpeechArrived(epoch, 0, index * 24_000, sound(index, 24_000)))
    stage.feed(on.SpeechEnded(epoch, 0, len(pcm) // 2))
    stage.wait(305)
    assert stage.played == pcm
    assert time.process_time() - began < 15
