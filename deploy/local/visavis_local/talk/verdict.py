"""Whether a conversation was as it must be."""

from collections.abc import Iterator

from visavis_local.talk.report import Answer, Interruption, Report

AUDIBLE_DBFS = -45.0
BEGIN_WITHIN_S = 15.0
SILENT_WITHIN_S = 0.6
LEFT_AT_LEAST_S = 2.0
ANSWERS = 5
"""Four turns of the person, and the Say that one of them interrupts."""


def reasons(report: Report) -> list[str]:
    """Everything that was not as it must be, one line each; empty: all was well."""
    found = [report.stopped] if report.stopped else []
    found += [f"error event: {error}" for error in report.errors]
    for answer in report.answers:
        found += [f"{answer.name}: {problem}" for problem in _answer(answer)]
    if not report.stopped and len(report.answers) < ANSWERS:
        found.append(f"{len(report.answers)} of {ANSWERS} answers were given")
    if report.interruption:
        found += [f"interruption: {problem}" for problem in _interruption(report.interruption)]
    elif not report.stopped:
        found.append("interruption: it did not happen")
    return found + list(_model(report))


def _answer(answer: Answer) -> Iterator[str]:
    if answer.first_sound_s is None:
        yield "nothing was heard"
        return
    if answer.level_dbfs <= AUDIBLE_DBFS:
        yield f"too quiet: {answer.level_dbfs:.0f} dBFS, must be above {AUDIBLE_DBFS:.0f}"
    if answer.first_sound_s > BEGIN_WITHIN_S:
        yield f"began after {answer.first_sound_s:.1f} s, must be within {BEGIN_WITHIN_S:.0f} s"
    said, heard = answer.said.split(), answer.heard.split()
    if not heard:
        yield "no words of it count as heard"
    elif said[: len(heard)] != heard:
        yield "what was heard is not the text that was announced"
    elif not answer.is_interrupted and said != heard:
        yield f"only {len(heard)} of {len(said)} words were heard"


def _interruption(interruption: Interruption) -> Iterator[str]:
    if interruption.level_before_dbfs <= AUDIBLE_DBFS:
        yield "the room was not audible when the person began to speak"
    if interruption.left_s < LEFT_AT_LEAST_S:
        yield f"only {interruption.left_s:.1f} s of the answer were left"
    if interruption.silent_after_s > SILENT_WITHIN_S:
        silent_s = interruption.silent_after_s
        yield f"silent after {silent_s:.2f} s, must be within {SILENT_WITHIN_S} s"


def _model(report: Report) -> Iterator[str]:
    generated = sum(answer.is_generated for answer in report.answers)
    if report.model_requests is not None and report.model_requests < generated:
        yield (
            f"the model server counted {report.model_requests} requests, but {generated} answers "
            "were said to be its own"
        )
