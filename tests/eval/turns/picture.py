"""The curves as one SVG, drawn by hand: no plotting library is worth its weight for two panels."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from tests.eval.turns.replay import Point

COLOURS = {"silence": "#8a8f98", "words": "#2f7ed8", "sound": "#e08b2c", "fusion": "#1b9e5a"}
_WIDTH, _HEIGHT, _LEFT, _TOP = 380, 260, 60, 50
_MOST_WAIT_S, _MOST_CUTS = 2.0, 0.6


def svg(panels: Mapping[str, Mapping[str, Sequence[Point]]], marks: Mapping[str, Point]) -> str:
    """One panel for each part; `marks`: the profile `balanced`, by part."""
    parts = [
        _panel(i, title, curves, marks[title]) for i, (title, curves) in enumerate(panels.items())
    ]
    width = len(panels) * (_WIDTH + _LEFT) + 30
    height = _HEIGHT + _TOP + 75
    names = [
        f'<text x="{_LEFT + i * 100}" y="{height - 12}" fill="{colour}">{name}</text>'
        for i, (name, colour) in enumerate(COLOURS.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(parts + names)
        + "\n</svg>\n"
    )


def _panel(index: int, title: str, curves: Mapping[str, Sequence[Point]], mark: Point) -> str:
    left = _LEFT + index * (_WIDTH + _LEFT)
    lines = [f'<text x="{left}" y="30" font-size="14">{escape(title)}</text>']
    for cuts in range(0, 61, 10):
        y = _y(cuts / 100)
        lines.append(f'<path d="M{left} {y}h{_WIDTH}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{cuts} %</text>')
    for tenths in range(0, 21, 5):
        x = _x(left, tenths / 10)
        lines.append(
            f'<text x="{x}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{tenths / 10}</text>'
        )
    lines.append(
        f'<text x="{left + _WIDTH / 2}" y="{_TOP + _HEIGHT + 36}" text-anchor="middle">'
        "mean wait after a complete utterance, s; up: unfinished ones cut off</text>"
    )
    for name, points in curves.items():
        shown = sorted((one for one in points if _fits(one)), key=lambda one: one.wait_s)
        path = " ".join(f"{_x(left, one.wait_s)},{_y(one.cut_share)}" for one in shown)
        colour = COLOURS[name]
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    x, y = _x(left, mark.wait_s), _y(mark.cut_share)
    lines.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{COLOURS["fusion"]}" stroke="black"/>')
    lines.append(f'<text x="{x + 9}" y="{y - 7}">balanced</text>')
    return "\n".join(lines)


def _fits(one: Point) -> bool:
    return one.wait_s <= _MOST_WAIT_S and one.cut_share <= _MOST_CUTS


def _x(left: int, wait_s: float) -> float:
    return round(left + wait_s / _MOST_WAIT_S * _WIDTH, 1)


def _y(cut_share: float) -> float:
    return round(_TOP + (1 - cut_share / _MOST_CUTS) * _HEIGHT, 1)
