"""The conversation on a terminal: plain text, aligned."""

import statistics
import textwrap
from collections.abc import Sequence

from visavis_local.talk.report import STEPS, Answer, Interruption, Report

WIDTH = 96
_WHO = 13
_LABEL = 24
_BAR = 40

HOW_MEASURED = (
    "Milliseconds; medians of the four generated answers. The steps up to `playback started` are "
    "by the clock of egress, from the end of speech as its voice detector heard it. The first "
    "sound is by the caller's clock, from the last voiced sample that left the microphone "
    "(voice-to-voice). That is earlier by the way of the sound to egress and the detector's "
    "judgement, 0.1 to 0.2 s, so the last step is not the way back alone."
)
TINY_MODEL = (
    "The embedded language model is tiny: it proves the plumbing, not wit. A real one is three "
    "settings away: VISAVIS_LLM_BASE_URL, VISAVIS_LLM_MODEL, VISAVIS_LLM_API_KEY."
)
OUTSIDE_MODEL = (
    "The language model is the one at VISAVIS_LLM_BASE_URL: its requests cannot be counted here, "
    "so the events alone say that the answers are its own."
)


def heading(text: str) -> str:
    """A section begins."""
    return f"\n--- {text} {'-' * max(0, WIDTH - len(text) - 5)}"


def paragraph(text: str) -> str:
    """Text over the full width."""
    return textwrap.fill(text, WIDTH)


def words(who: str, text: str) -> str:
    """Somebody says something."""
    first, rest = f"  {who:<{_WHO}}", " " * (_WHO + 2)
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def waterfall(answer: Answer) -> str:
    """When the steps of one answer happened: the whole, the part of each step, and a bar."""
    origin = "end of speech" if answer.is_generated else "Say committed"
    lines = [f"      {origin:<{_LABEL}}{0:>6}"]
    times = [(label, answer.waterfall.get(name)) for name, label in STEPS]
    times.append(("first sound (caller)", answer.first_sound_s))
    longest = max((time for _, time in times if time is not None), default=0.0) or 1.0
    # A step may come early or late, as it happens: by time, so that every part is one of waiting.
    times.sort(key=lambda step: longest + 1 if step[1] is None else step[1])
    before = 0.0
    for label, time in times:
        if time is None:
            lines.append(f"      {label:<{_LABEL}}{'-':>6}")
            continue
        lines.append(f"      {label:<{_LABEL}}{_ms(time):>6}{_step(before, time, longest)}")
        before = time
    return "\n".join(lines)


def _step(before: float, time: float, longest: float) -> str:
    start, end = (round(_BAR * max(moment, 0.0) / longest) for moment in (before, time))
    bar = " " * min(start, end) + "#" * max(1, end - start)
    return f"{round((time - before) * 1000):>+7}  |{bar}"


def interruption(one: Interruption) -> str:
    """How the room fell silent."""
    return words(
        "",
        f"[the room was audible ({one.level_before_dbfs:.0f} dBFS), about {one.left_s:.0f} s of "
        f"the answer were left; silent {_ms(one.silent_after_s)} ms after the onset of speech]",
    )


def table(answers: Sequence[Answer]) -> str:
    """All answers side by side, and the medians of those to something that was spoken."""
    spoken = [answer for answer in answers if answer.is_generated]
    rows = [["", *(answer.name for answer in answers), "median"]]
    for name, label in STEPS:
        times = [answer.waterfall.get(name) for answer in answers]
        rows.append([label, *map(_cell, times), _median([a.waterfall.get(name) for a in spoken])])
    sounds = [answer.first_sound_s for answer in answers]
    rows.append(["voice-to-voice", *map(_cell, sounds), _median([a.first_sound_s for a in spoken])])
    rows.append(["level, dBFS", *(f"{answer.level_dbfs:.0f}" for answer in answers), ""])
    rates = [answer.word_error_rate for answer in answers]
    known = [rate for rate in rates if rate is not None]
    middle = _percent(statistics.median(known)) if known else "-"
    rows.append(["word error rate", *map(_percent, rates), middle])
    return "\n".join(_row(row) for row in rows)


def _row(cells: list[str]) -> str:
    first, *others = cells
    return f"  {first:<21}" + "".join(f"{cell:>12}" for cell in others)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _cell(seconds: float | None) -> str:
    return "-" if seconds is None else _ms(seconds)


def _median(seconds: Sequence[float | None]) -> str:
    known = [time for time in seconds if time is not None]
    return _ms(statistics.median(known)) if known else "-"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate * 100:.0f} %"


def model_count(report: Report) -> str:
    """Whether the answers are the model's own, as far as it can be told."""
    if report.model_requests is None:
        return paragraph(OUTSIDE_MODEL)
    generated = sum(answer.is_generated for answer in report.answers)
    counted = (
        f"The model server counted {report.model_requests} chat requests for {generated} "
        "generated answers."
    )
    return paragraph(f"{counted} {TINY_MODEL}")


def verdict(reasons: Sequence[str]) -> str:
    """The last word."""
    if not reasons:
        return "All was well: every answer was heard, in time and as announced."
    return "\n".join(["Not all was well:", *(f"  - {reason}" for reason in reasons)])
