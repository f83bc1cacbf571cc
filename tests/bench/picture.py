"""A run as a picture (SVG): where the time goes, and how it grows with the sessions."""

import math
from collections.abc import Iterator
from html import escape

from tests.bench.figures import Answers, Run
from tests.bench.path import STAGES
from tests.bench.report import KINDS

_COLOURS = {
    "setting": "#c9ced6",
    "decision": "#8d97a5",
    "asr": "#4e79a7",
    "llm": "#59a14f",
    "tts": "#b07aa1",
    "ours": "#e15759",
    "playout": "#f1a340",
}
_KIND_COLOURS = {"embedded": "#4e79a7", "instant": "#e15759", "in-process": "#59a14f"}
_WIDTH, _LEFT, _RIGHT, _TOP = 1000, 190, 150, 70
_BAR, _STEP, _CURVE = 16, 24, 280


def picture(run: Run) -> str:
    """The SVG document."""
    cases = [one for one in run.answers if one.turns]
    waterfall_end = _TOP + 30 + _STEP * len(cases) + 40
    height = waterfall_end + _CURVE + 110
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(20, 26, "From the end of the person's speech to the first sound heard", size=17),
        _text(20, 44, f"{run.form} run, {run.made}, {', '.join(run.machine.values())}", grey=True),
        *_legend(),
        *_waterfall(cases),
        *_curves(cases, waterfall_end),
        "</svg>",
    ]
    return "\n".join(lines)


def _legend() -> Iterator[str]:
    for place, stage in enumerate(STAGES):
        x = _LEFT + place * 95
        yield f'<rect x="{x}" y="58" width="12" height="12" fill="{_COLOURS[stage]}"/>'
        yield _text(x + 17, 68, stage)


def _waterfall(cases: list[Answers]) -> Iterator[str]:
    """One bar a case; its parts are means, since medians do not add up."""
    longest = max((sum(_parts(one).values()) for one in cases), default=1.0)
    room = _WIDTH - _LEFT - _RIGHT
    for place, one in enumerate(cases):
        y = _TOP + 20 + place * _STEP
        yield _text(_LEFT - 8, y + 12, f"{one.kind}, {one.sessions}", anchor="end")
        x = float(_LEFT)
        for stage, seconds in _parts(one).items():
            width = seconds / longest * room
            yield (
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" '
                f'fill="{_COLOURS[stage]}"><title>{stage} {seconds * 1000:.0f} ms</title></rect>'
            )
            if width > 26:
                yield _text(
                    x + width / 2, y + 12, f"{seconds * 1000:.0f}", anchor="middle", size=10
                )
            x += width
        found = one.spread()
        text = f"p50 {found.p50 * 1000:.0f}, p95 {found.p95 * 1000:.0f} ms"
        yield _text(x + 6, y + 12, text, size=11, grey=True)


def _parts(one: Answers) -> dict[str, float]:
    return {stage: max(0.0, one.spread(stage).mean) for stage in STAGES}


def _curves(cases: list[Answers], top: int) -> Iterator[str]:
    """Seconds over sessions (both logarithmic), p50 solid and p95 broken."""
    yield _text(20, top, "Voice-to-voice over the number of sessions", size=15)
    if not cases:
        return
    top += 20
    values = [v for one in cases for v in (one.spread().p50, one.spread().p95)]
    low, high = min(values) * 0.8, max(values) * 1.2
    most = max(2, *(one.sessions for one in cases))

    def place(sessions: int, seconds: float) -> str:
        x = _LEFT + math.log(sessions) / math.log(most) * (_WIDTH - _LEFT - _RIGHT)
        y = top + _CURVE - math.log(seconds / low) / math.log(high / low) * _CURVE
        return f"{x:.1f},{y:.1f}"

    for seconds in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0):
        if low < seconds < high:
            _, y = place(1, seconds).split(",")
            yield (
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#e4e6ea"/>'
            )
            yield _text(_LEFT - 8, float(y) + 4, f"{seconds:g} s", anchor="end", grey=True)
    for sessions in sorted({one.sessions for one in cases}):
        x, _ = place(sessions, low).split(",")
        yield _text(float(x), top + _CURVE + 18, str(sessions), anchor="middle", grey=True)
    for row, kind in enumerate(kind for kind in KINDS if any(one.kind == kind for one in cases)):
        of_kind = sorted((o for o in cases if o.kind == kind), key=lambda one: one.sessions)
        colour = _KIND_COLOURS[kind]
        for dash, rank in (("", "p50"), ("5 4", "p95")):
            points = [place(one.sessions, getattr(one.spread(), rank)) for one in of_kind]
            yield (
                f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" '
                f'stroke-width="2" stroke-dasharray="{dash}"/>'
            )
            for point in points:
                x, y = point.split(",")
                yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
        y_text = top + _CURVE + 42 + row * 16
        yield f'<rect x="{_LEFT}" y="{y_text - 10}" width="12" height="12" fill="{colour}"/>'
        yield _text(_LEFT + 18, y_text, f"{KINDS[kind]}: p50 solid, p95 broken")


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, grey: bool = False
) -> str:
    fill = "#6b7280" if grey else "#1f2937"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{fill}">{escape(words)}</text>'
    )
