"""What was measured, kept as JSON, and the table of it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.bench.figures import Spread, spread

NAMES = {"visavis": "Visavis", "livekit": "LiveKit Agents 1.8.9", "pipecat": "Pipecat 1.14.0"}
WINDOWED = ("embedded-30s",)
HELD_P95_S = 1.5
"""Sessions are held if every question is answered, 95 of 100 within this time."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds from the end of the trimmed speech; None: not heard, or not told."""

    heard_s: float | None
    wait_s: float | None
    cut_off: bool = False
    """The system took the person to be done while they still spoke."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """From the first voiced sample to silence; None: the answer went on."""

    silence_s: float | None


@dataclass(slots=True)
class Block:
    """One run of one system, in one go."""

    system: str
    models: str
    """`embedded`, `embedded-30s` (Whisper's full window), or `instant`."""
    sessions: int
    turns: list[Turn] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    """Of each session, the first one of the call first."""
    cores: float = math.nan
    """CPU of all its processes while the sessions talked."""
    idle_mb: float = math.nan
    """Memory (PSS) of all its processes before the first session."""
    memory_mb: float = math.nan
    """The same with the sessions."""
    pressure: float = math.nan
    """Share of the time in which somebody waited for a CPU."""
    jitter_buffer_s: float = math.nan
    """Mean delay of the listeners' jitter buffers, a part of every time here."""
    failed: str = ""


@dataclass(slots=True)
class Run:
    """One `make bench-peers`."""

    made: str
    machine: dict[str, str]
    load_before: float
    blocks: list[Block] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is null."""
        kept: dict[str, Any] = asdict(self)
        for block in kept["blocks"]:
            block.update({k: None for k, v in block.items() if v != v})
        return kept

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Run":
        """What `to_json` gave."""
        return cls(
            kept["made"], kept["machine"], kept["load_before"], [_block(b) for b in kept["blocks"]]
        )

    def of(self, system: str, models: str, sessions: int = 1) -> "Sample":
        """All blocks of a case together."""
        return Sample(
            [
                block
                for block in self.blocks
                if (block.system, block.models, block.sessions) == (system, models, sessions)
            ]
        )

    @property
    def levels(self) -> list[int]:
        """Numbers of sessions that were tried."""
        return sorted({block.sessions for block in self.blocks})


def _block(kept: dict[str, Any]) -> Block:
    numbers: dict[str, Any] = {k: math.nan if v is None else v for k, v in kept.items()}
    turns = [Turn(**one) for one in kept["turns"]]
    cuts = [Interruption(**one) for one in kept["interruptions"]]
    return Block(**{**numbers, "turns": turns, "interruptions": cuts})


@dataclass(frozen=True)
class Sample:
    """Blocks of one system in one case."""

    blocks: list[Block]

    @property
    def turns(self) -> list[Turn]:
        """All of them."""
        return [turn for block in self.blocks for turn in block.turns]

    @property
    def heard(self) -> Spread:
        """Voice-to-voice."""
        return spread(one.heard_s for one in self.turns if one.heard_s is not None)

    @property
    def wait(self) -> Spread:
        """From the end of speech to the decision."""
        return spread(one.wait_s for one in self.turns if one.wait_s is not None)

    @property
    def rest(self) -> Spread:
        """Voice-to-voice without the wait, turn by turn."""
        return spread(
            one.heard_s - one.wait_s
            for one in self.turns
            if one.heard_s is not None and one.wait_s is not None
        )

    @property
    def lost(self) -> int:
        """Questions without an answer."""
        return sum(one.heard_s is None and not one.cut_off for one in self.turns)

    @property
    def cut_off(self) -> int:
        """Questions that were answered before they were over."""
        return sum(one.cut_off for one in self.turns)

    def silence(self, *, first: bool) -> tuple[Spread, int]:
        """Barge-in to silence, and how many went unheard: first ones of a call, or the others."""
        found = [
            one.silence_s
            for block in self.blocks
            for one in (block.interruptions[:1] if first else block.interruptions[1:])
        ]
        return spread(one for one in found if one is not None), found.count(None)

    @property
    def held(self) -> bool:
        """See HELD_P95_S."""
        failed = any(block.failed for block in self.blocks) or not self.blocks
        return not failed and not self.lost and self.heard.p95 <= HELD_P95_S

    def mean(self, of: Callable[[Block], float]) -> float:
        """Over the blocks that know it."""
        known = [value for block in self.blocks if not math.isnan(value := of(block))]
        return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Row:
    """A line of the table. `number`: what is compared; `best`: of what the peers have."""

    title: str
    cell: Callable[[str], str]
    number: Callable[[str], float]
    best: Callable[[Iterable[float]], float] = min


def table(run: Run) -> str:
    """Markdown: a line for each thing measured, a column for each system, and how ours compares."""
    names = [name for name in NAMES if any(block.system == name for block in run.blocks)]
    lines = [
        f"| | {' | '.join(NAMES[name] for name in names)} | ours : the better of theirs |",
        f"|---|{'---|' * len(names)}---|",
    ]
    for row in _rows(run):
        cells = [row.cell(name) for name in names]
        if any(one != "–" for one in cells):
            lines.append(f"| {row.title} | {' | '.join(cells)} | {_ratio(row, names)} |")
    return "\n".join(lines)


def _rows(run: Run) -> Iterable[Row]:
    titles = {
        "embedded": "embedded models, voice-to-voice, p50 (p95)",
        "embedded-30s": "the same, the peers' Whisper at its library's window of 30 s",
        "instant": "instant models, voice-to-voice, p50 (p95)",
    }
    for models, title in titles.items():
        yield from _answers(run, models, title)
    for title, first in (("first of a call", True), ("later ones", False)):
        yield _silence(run, f"barge-in to silence, {title}, p50 (p95)", first=first)
    top = max(run.levels, default=1)
    yield _plain("memory (PSS), idle", "MB", 0, lambda n: _instant(run, n, 1, "idle_mb"))
    yield _plain("… for each session more", "MB", 1, lambda n: marginal_mb(run, n))
    yield _plain(
        "memory with the embedded models and one session",
        "MB",
        0,
        lambda n: run.of(n, "embedded").mean(lambda block: block.memory_mb),
    )
    yield _plain("CPU of one session", "cores", 2, lambda n: _instant(run, n, 1, "cores"))
    if top > 1:
        each = f"… of each of {top} at once"
        yield _plain(each, "cores", 2, lambda n: _instant(run, n, top, "cores") / top)
    for level in run.levels:
        if level > 1:
            yield _level(run, level)
    buffer = "mean delay of the listener's jitter buffer, instant models"
    yield _plain(buffer, "ms", 0, lambda n: 1e3 * _instant(run, n, 1, "jitter_buffer_s"))
    title = f"sessions held on {run.machine.get('cores', '?')} cores, of {top} tried"
    yield replace(_plain(title, "", 0, lambda name: float(held(run, name))), best=max)


def _answers(run: Run, models: str, title: str) -> Iterable[Row]:
    if models in WINDOWED:
        # Ours has its short window in either case.
        theirs = {name: models if name != "visavis" else "embedded" for name in NAMES}
        tried = any(block.models == models for block in run.blocks)
        yield _times(title, lambda name: run.of(name, theirs[name] if tried else models).heard)
        return
    yield _times(title, lambda name: run.of(name, models).heard)
    yield _times(
        "… of it the wait: end of speech to decision", lambda name: run.of(name, models).wait
    )
    yield _times("… without the wait", lambda name: run.of(name, models).rest)
    yield _count("… questions cut off before their end", lambda name: run.of(name, models))


def marginal_mb(run: Run, system: str) -> float:
    """Memory of each further session: between one session and the most that were tried."""
    known = {
        level: mb
        for level in run.levels
        if not math.isnan(mb := _instant(run, system, level, "memory_mb"))
    }
    if len(known) < 2:
        return math.nan
    least, most = min(known), max(known)
    return (known[most] - known[least]) / (most - least)


def held(run: Run, system: str) -> int:
    """The largest number of sessions that was held, and all smaller ones too."""
    most = 0
    for level in run.levels:
        if not run.of(system, "instant", level).held:
            break
        most = level
    return most


def _instant(run: Run, system: str, sessions: int, of: str) -> float:
    return run.of(system, "instant", sessions).mean(lambda block: float(getattr(block, of)))


def _times(title: str, of: Callable[[str], Spread]) -> Row:
    def cell(name: str) -> str:
        return _seconds(of(name))

    return Row(title, cell, lambda name: of(name).p50)


def _count(title: str, of: Callable[[str], Sample]) -> Row:
    def cell(name: str) -> str:
        sample = of(name)
        lost = f", {sample.lost} unanswered" if sample.lost else ""
        return f"{sample.cut_off} of {len(sample.turns)}{lost}" if sample.turns else "–"

    return Row(title, cell, lambda _: math.nan)


def _silence(run: Run, title: str, *, first: bool) -> Row:
    def cell(name: str) -> str:
        found, unheard = run.of(name, "instant").silence(first=first)
        if not found.count and not unheard:
            return "–"
        missed = f"{unheard} of {found.count + unheard} not at all" if unheard else ""
        return ", ".join(one for one in (_seconds(found) if found.count else "", missed) if one)

    return Row(title, cell, lambda name: run.of(name, "instant").silence(first=first)[0].p50)


def _level(run: Run, level: int) -> Row:
    def cell(name: str) -> str:
        sample = run.of(name, "instant", level)
        if not sample.blocks:
            return "–"
        failed = next((block.failed for block in sample.blocks if block.failed), "")
        if failed and not sample.turns:
            return failed
        lost = f", {sample.lost} of {len(sample.turns)} unanswered" if sample.lost else ""
        return f"{_seconds(sample.heard)}{lost}"

    return Row(
        f"{level} sessions at once, instant models, p50 (p95)",
        cell,
        lambda name: run.of(name, "instant", level).heard.p50,
    )


def _plain(title: str, unit: str, digits: int, of: Callable[[str], float]) -> Row:
    def cell(name: str) -> str:
        value = of(name)
        return "–" if math.isnan(value) else f"{value:.{digits}f} {unit}".strip()

    return Row(title, cell, of)


def _seconds(found: Spread) -> str:
    return f"{found.p50:.2f} s ({found.p95:.2f})" if found.count else "–"


def _ratio(row: Row, names: list[str]) -> str:
    ours = row.number("visavis") if "visavis" in names else math.nan
    peers = [row.number(name) for name in names if name != "visavis"]
    theirs = [value for value in peers if not math.isnan(value)]
    if math.isnan(ours) or not theirs or not row.best(theirs):
        return ""
    return f"{ours / row.best(theirs):.2f}"


def caption(run: Run) -> str:
    """How it was measured, in a few lines below the table."""
    turns = sum(len(block.turns) for block in run.blocks)
    waited = Sample(run.blocks).mean(lambda block: block.pressure)
    failed = [f"{NAMES[b.system]} ({b.sessions}): {b.failed}" for b in run.blocks if b.failed]
    lines = [
        f"`make bench-peers`, {run.made}, {run.machine.get('cores')} cores "
        f"({run.machine.get('cpu')}), load {run.load_before:.1f} before, {turns} questions, "
        f"somebody waited for a CPU {waited:.0%} of the time. Blocks of the three take turns; "
        "caller, LiveKit server, WAVs, models and the language model's server are the same. "
        "Times run from the end of the trimmed speech to the first audible frame at the listener. "
        "LiveKit: VAD 0.2 s, delay 0.2 s, preemptive answer and speech; Pipecat: VAD 0.2 s and "
        "smart-turn; ours: its default profile. The instant models take no time in all three. "
        "Memory and CPU are of all processes of a system, our bus included, without the LiveKit "
        f"server. Held: every question answered, p95 within {HELD_P95_S} s."
    ]
    return "\n".join([*lines, *(f"Failed: {one}." for one in failed)])


BEGIN, END = "<!-- bench-peers: begin -->", "<!-- bench-peers: end -->"


def placed(document: str, part: str) -> str:
    """The document with `part` between the two markers. ValueError: they are not there."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{part}\n{END}{after}"
