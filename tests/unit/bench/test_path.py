"""Where the time of an answer is said to have gone."""

import math

import pytest

from tests.bench.path import STAGES, Turn, stages, words_waited_s

DELAYS_S = (0.3, 0.8, 2.5)


def test_an_answer_that_was_ready_early_leaves_the_wait_the_storing_and_the_playout() -> None:
    steps = {"endpoint": 0.31, "transcript": 0.2, "first_sentence": 0.25, "first_audio": 0.28}
    turn = Turn(0.5, 0.4, steps | {"handed_over": 0.32}, {"asr": 0.1, "llm": 0.05, "tts": 0.03})
    found = stages(turn, DELAYS_S)
    assert found == pytest.approx(
        {
            "setting": 0.3,
            "decision": 0.1,
            "asr": 0,
            "llm": 0,
            "tts": 0,
            "ours": 0.01,
            "playout": 0.09,
        }
    )


def test_engine_seconds_count_as_far_as_they_lie_after_the_decision() -> None:
    steps = {"endpoint": 0.3, "transcript": 0.4, "first_sentence": 0.9, "first_audio": 1.1}
    engines = {"asr": 0.25, "llm": 0.45, "tts": 0.18}
    found = stages(Turn(1.3, 0.35, steps | {"handed_over": 1.12}, engines), DELAYS_S)
    # Of recognition 0.1 s; between the engines 0.05 and 0.02 s are the bus', and 0.02 at the end.
    assert [found[one] for one in ("asr", "llm", "tts")] == pytest.approx([0.1, 0.45, 0.18])
    assert found["ours"] == pytest.approx(0.09)
    assert words_waited_s(steps) == pytest.approx(0.1)


def test_engines_that_worked_at_the_same_time_are_not_counted_twice() -> None:
    steps = {"endpoint": 0.3, "first_sentence": 0.6, "first_audio": 0.7, "handed_over": 0.7}
    found = stages(Turn(0.8, 0.3, steps, {"llm": 0.3, "tts": 0.3}), DELAYS_S)
    assert (found["llm"], found["tts"]) == pytest.approx((0.3, 0.1))
    assert found["ours"] == pytest.approx(0.0)


@pytest.mark.parametrize(("endpoint", "setting"), [(0.31, 0.3), (0.82, 0.8), (2.6, 2.5), (0.1, 0)])
def test_the_setting_is_the_longest_delay_that_had_passed(endpoint: float, setting: float) -> None:
    turn = Turn(3.0, endpoint, {"endpoint": endpoint, "handed_over": endpoint}, {})
    assert stages(turn, DELAYS_S)["setting"] == setting


def test_the_stages_add_up_to_what_was_heard() -> None:
    steps = {"endpoint": 0.5, "transcript": 0.9, "first_sentence": 1.0, "handed_over": 1.3}
    found = stages(Turn(1.77, 0.61, steps, {"asr": 0.2, "llm": 2.0}), DELAYS_S)
    assert tuple(found) == STAGES
    assert math.fsum(found.values()) == pytest.approx(1.77)
