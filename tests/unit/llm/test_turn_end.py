"""The probability of a turn's end, from both forms of an answer."""

import math
from typing import Any

import pytest

from visavis_llm.turn_end import MAX_CHARACTERS, NotAScoreError, end_probability, prompt


def openai(likely: dict[str, float]) -> dict[str, Any]:
    """The form of OpenAI and vLLM."""
    logprobs = {token: math.log(one) for token, one in likely.items()}
    return {"choices": [{"logprobs": {"tokens": ["x"], "top_logprobs": [logprobs]}}]}


def llamacpp(likely: dict[str, float]) -> dict[str, Any]:
    tops = [{"token": token, "logprob": math.log(one)} for token, one in likely.items()]
    return {"choices": [{"logprobs": {"content": [{"token": "x", "top_logprobs": tops}]}}]}


ENDS = ["?", ".", " ?", "?\n", "\n", "\n\n", "...", "?!", "。", "", "<|im_end|>", "</s>", '."']
GOES_ON = [",", " at", " ", "'s", ".com", ".5", " -"]


@pytest.mark.parametrize("form", [openai, llamacpp])
def test_what_ends_a_line_counts_and_nothing_else(form: Any) -> None:
    likely = dict.fromkeys(ENDS, 0.05) | dict.fromkeys(GOES_ON, 0.04)
    assert end_probability(form(likely)) == pytest.approx(0.05 * len(ENDS))


@pytest.mark.parametrize("token", GOES_ON)
def test_a_turn_that_goes_on_scores_nothing(token: str) -> None:
    assert end_probability(openai({token: 1.0})) == 0


def test_it_is_never_above_one() -> None:
    assert end_probability(openai({"?": 0.7, ".": 0.4})) == 1


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"choices": []},
        {"choices": [{"text": "?", "logprobs": None}]},
        {"choices": [{"logprobs": {"content": []}}]},
        {"choices": [{"logprobs": {"top_logprobs": [{"?": "much"}]}}]},
        {"choices": [{"logprobs": {"top_logprobs": [{"?": 1000.0}]}}]},
    ],
)
def test_an_answer_without_probabilities_is_told(answer: Any) -> None:
    with pytest.raises(NotAScoreError):
        end_probability(answer)


@pytest.mark.parametrize("text", ["What time is it?", "what time is it", " What time\nis it ... "])
def test_marks_and_case_of_the_recogniser_are_not_given(text: str) -> None:
    assert prompt(text, "").endswith("\nCaller: what time is it")


def test_the_avatars_words_come_first_and_both_are_cut_at_the_front() -> None:
    asked = prompt("yes " * 500, "Do you\nwant it? " * 500)
    assert "want it? Do you want it?\nCaller: " in asked
    assert len(asked) - len(prompt("", " ")) <= 2 * MAX_CHARACTERS
    assert prompt("yes", "").endswith("Agent: How can I help you?\nCaller: yes")


def test_finished_lines_come_first_and_are_the_same_each_time() -> None:
    one = prompt("yes", "Ready?").split("\n")
    other = prompt("I saw a", "And then?").split("\n")
    assert one[:-2] == other[:-2]
    assert sum(line.startswith("Caller: ") for line in one[:-2]) >= 10
