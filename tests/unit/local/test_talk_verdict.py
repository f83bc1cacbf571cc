"""The demo's verdict: every single thing that may be wrong is a reason of its own."""

from dataclasses import replace

import pytest

from visavis_local.talk.report import Answer, Interruption, Report
from visavis_local.talk.verdict import reasons

WELL = Answer(
    name="question",
    is_generated=True,
    said="The sky is blue. It is day.",
    heard="The sky is blue. It is day.",
    is_interrupted=False,
    waterfall={"endpoint": 0.5},
    first_sound_s=1.2,
    level_dbfs=-26.0,
    sound_s=2.0,
)
SAY = replace(WELL, name="long answer", is_generated=False, is_interrupted=True, heard="The sky")
CUT = Interruption(level_before_dbfs=-26.0, left_s=9.0, silent_after_s=0.45)


def _report(**changes: object) -> Report:
    """One where all is well, but for `changes` to its question."""
    answers = [replace(WELL, **changes), WELL, SAY, WELL, WELL]  # type: ignore[arg-type]
    return Report(answers=answers, interruption=CUT, model_requests=4)


def test_nothing_is_said_against_a_conversation_in_which_all_was_well() -> None:
    assert reasons(_report()) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"first_sound_s": None}, "nothing was heard"),
        ({"level_dbfs": -45.0}, "too quiet: -45 dBFS, must be above -45"),
        ({"first_sound_s": 15.1}, "began after 15.1 s, must be within 15 s"),
        ({"heard": " "}, "no words of it count as heard"),
        ({"heard": "I am sorry."}, "what was heard is not the text that was announced"),
        ({"said": "", "heard": "Sorry."}, "what was heard is not the text that was announced"),
        ({"heard": "The sky is blue."}, "only 4 of 7 words were heard"),
    ],
)
def test_an_answer_that_is_not_as_it_must_be(changes: dict[str, object], reason: str) -> None:
    assert reasons(_report(**changes)) == [f"question: {reason}"]


@pytest.mark.parametrize(
    ("interruption", "reason"),
    [
        (
            replace(CUT, level_before_dbfs=-60.0),
            "interruption: the room was not audible when the person began to speak",
        ),
        (replace(CUT, left_s=1.94), "interruption: only 1.9 s of the answer were left"),
        (
            replace(CUT, silent_after_s=0.61),
            "interruption: silent after 0.61 s, must be within 0.6 s",
        ),
        (None, "interruption: it did not happen"),
    ],
)
def test_an_interruption_that_is_not_as_it_must_be(
    interruption: Interruption | None, reason: str
) -> None:
    report = _report()
    report.interruption = interruption
    assert reasons(report) == [reason]


def test_an_error_event_is_enough() -> None:
    report = _report()
    report.errors.append("LLM_TIMEOUT in llm, turn 2: gave up")
    assert reasons(report) == ["error event: LLM_TIMEOUT in llm, turn 2: gave up"]


def test_a_missing_answer_is_told() -> None:
    report = _report()
    report.answers.pop()
    assert reasons(report) == ["4 of 5 answers were given"]


def test_a_conversation_that_was_stopped_says_why_and_nothing_about_what_never_came() -> None:
    report = Report(answers=[WELL], stopped="the room was lost", model_requests=1)
    assert reasons(report) == ["the room was lost"]


@pytest.mark.parametrize(("requests", "is_well"), [(3, False), (4, True), (5, True), (None, True)])
def test_every_generated_answer_was_asked_of_the_model_server(
    requests: int | None, is_well: bool
) -> None:
    report = _report()
    report.model_requests = requests
    assert (not reasons(report)) is is_well
