"""What is made of the figures of `make bench-peers`; nothing is measured here."""

import json
import math

import numpy as np
import pytest

from tests.bench.peers.__main__ import arguments, plan
from tests.bench.peers.conversation import judged, silent_after
from tests.bench.peers.engines import Setup
from tests.bench.peers.results import (
    BEGIN,
    END,
    Block,
    Interruption,
    Run,
    Turn,
    caption,
    held,
    marginal_mb,
    placed,
    table,
)
from tests.bench.peers.systems import noted
from tests.support.recording import RATE_HZ, Recording
from tests.support.utterance import Spoken

SPOKEN = Spoken(start=10.0, end=12.0)


def test_times_run_from_the_end_of_speech() -> None:
    assert judged(SPOKEN, 12.5, [5.0, 12.375]) == Turn(0.5, 0.375)


def test_the_last_decision_before_the_sound_is_the_one_that_was_answered() -> None:
    assert judged(SPOKEN, 13.0, [12.25, 12.75, 13.5]).wait_s == 0.75


def test_a_decision_long_before_the_end_is_a_cut_off() -> None:
    assert judged(SPOKEN, 12.5, [11.0, 12.25]) == Turn(None, None, cut_off=True)
    assert judged(SPOKEN, 11.5, []).cut_off


def test_no_sound_is_no_answer() -> None:
    assert judged(SPOKEN, None, [12.5]) == Turn(None, None)


def test_a_decision_that_nobody_told_leaves_the_answer() -> None:
    assert judged(SPOKEN, 12.5, []) == Turn(0.5, None)


@pytest.mark.parametrize(("sound_s", "expected"), [(0.5, 0.5), (3.0, None)])
def test_silence_after_the_first_voiced_sample(sound_s: float, expected: float | None) -> None:
    recording = Recording()
    frame = round(RATE_HZ * 0.02)
    for number in range(250):
        at = 9.0 + number * 0.02
        is_loud = at < SPOKEN.start + sound_s - 0.001
        samples = np.full(frame, 8000 if is_loud else 0, dtype="<i2")
        recording.add("track", samples.tobytes(), at + 0.02)
    assert silent_after(recording, SPOKEN) == (pytest.approx(expected) if expected else None)


def test_lines_of_other_rooms_and_half_lines_are_left_out() -> None:
    lines = [
        json.dumps({"event": event, "at": at, "room": room})
        for event, at, room in [("ready", 1.0, "a"), ("decided", 2.0, "a"), ("decided", 3.0, "b")]
    ]
    assert noted("\n".join([*lines, '{"event": "dec']), "decided", "a") == [2.0]
    assert noted("", "decided", "a") == []


def test_what_a_program_is_told_comes_through_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = Setup(True, "Be kind.", 40, "Hello.", "Yes.", "http://x/v1", "m", 8.0, "/tmp/e")
    for name, value in setup.environ().items():
        monkeypatch.setenv(name, value)
    assert Setup.read() == setup


def _run() -> Run:
    run = Run("2026-11-25", {"cores": "2", "cpu": "one"}, 0.5)
    for system, heard, memory in (("visavis", 0.2, 4.0), ("livekit", 0.4, 50.0)):
        for sessions in (1, 4):
            run.blocks.append(
                Block(
                    system,
                    "instant",
                    sessions,
                    [Turn(heard * sessions, heard / 2)] * 4,
                    [Interruption(None), Interruption(heard)],
                    cores=0.1,
                    memory_mb=100 + memory * sessions,
                )
            )
    return run


def test_a_run_survives_being_kept() -> None:
    run = _run()
    again = Run.from_json(json.loads(json.dumps(run.to_json(), allow_nan=False)))
    assert table(again) == table(run)
    assert math.isnan(again.blocks[0].idle_mb)


def test_the_table_compares_with_the_better_of_the_peers() -> None:
    lines = table(_run()).split("\n")
    assert "| Visavis | LiveKit Agents 1.8.9 |" in lines[0]
    (voice,) = [line for line in lines if line.startswith("| instant models, voice-to-voice")]
    assert voice.endswith("| 0.20 s (0.20) | 0.40 s (0.40) | 0.50 |")
    (first,) = [line for line in lines if "first of a call" in line]
    assert "1 of 1 not at all" in first


def test_the_peers_long_window_is_held_against_our_short_one() -> None:
    run = _run()
    assert "window of 30 s" not in table(run)
    run.blocks.append(Block("visavis", "embedded", 1, [Turn(0.5, 0.3)]))
    run.blocks.append(Block("livekit", "embedded-30s", 1, [Turn(2.0, 0.3)]))
    (line,) = [line for line in table(run).split("\n") if "window of 30 s" in line]
    assert line.endswith("| 0.50 s (0.50) | 2.00 s (2.00) | 0.25 |")


def test_memory_of_a_session_is_the_difference_between_many_and_one() -> None:
    assert marginal_mb(_run(), "livekit") == pytest.approx(50.0)


def test_sessions_are_held_while_every_question_is_answered_in_time() -> None:
    run = _run()
    assert (held(run, "visavis"), held(run, "livekit")) == (4, 1)
    run.blocks[1].turns.append(Turn(None, None))
    assert held(run, "visavis") == 1


def test_a_system_that_failed_is_named_below_the_table() -> None:
    run = _run()
    run.blocks[3].failed = "TimeoutError: no seat"
    assert "Failed: LiveKit Agents 1.8.9 (4): TimeoutError: no seat." in caption(run)


def test_the_table_goes_between_its_markers() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert placed(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="no <!--"):
        placed("nothing here", "new")


def test_systems_take_turns_and_nobody_is_always_first() -> None:
    given = ["--rounds", "2", "--models", "instant", "--sessions"]
    assert [case.system for case in plan(arguments(given))] == [
        *("visavis", "livekit", "pipecat"),
        *("livekit", "pipecat", "visavis"),
    ]
