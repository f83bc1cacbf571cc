"""A run in the terminal: tables, goals, and what has changed since the run before."""

import math
from collections.abc import Iterable, Iterator, Sequence

from tests.bench.figures import Answers, Floor, Run, spread
from tests.bench.goals import goals, own_cpu
from tests.bench.path import STAGES

KINDS = {
    "embedded": "embedded models, real rooms",
    "instant": "instant engines, real rooms",
    "in-process": "instant engines, in-process rooms (no WebRTC)",
}
_SERVICES = (
    *("egress", "asr", "llm", "tts", "token", "model-server", "nats", "livekit", "motion-sim"),
    "callers",
)


def report(run: Run, before: Run | None) -> str:
    """Everything, as lines."""
    parts = [
        [f"{run.form} run of {run.made} on {', '.join(run.machine.values())}"],
        _answers(run),
        _ways(run),
        _costs(run),
        _floor(run.floor) if run.floor else [],
        _verdict(run),
        _changes(run, before) if before else ["", "no run of this form to compare with"],
    ]
    return "\n".join(line for part in parts for line in part)


def _answers(run: Run) -> Iterator[str]:
    """Voice-to-voice."""
    yield from ("", "Voice-to-voice, ms: end of the trimmed speech to the first audible frame")
    head = ("", "sessions", "n", "p50", "p95", "p99", "wait p50", "early used", "lost", "cut off")
    rows = [
        (
            KINDS[one.kind],
            one.sessions,
            len(one.turns),
            *(_ms(value) for value in (one.spread().p50, one.spread().p95, one.spread().p99)),
            _ms(one.spread("wait").p50),
            _percent(one.hit_rate),
            one.lost,
            one.cut_off,
        )
        for one in run.answers
    ]
    yield from table(head, rows)


def _ways(run: Run) -> Iterator[str]:
    """The same, cut into its stages."""
    yield from (
        "",
        "Of it, ms (p50; `ours` also p99): wait = setting + decision; the rest after it",
    )
    head = ("", "sessions", *STAGES, "ours p99", "jitter buffer", "gaps>60")
    rows = [
        (
            KINDS[one.kind],
            one.sessions,
            *(_ms(one.spread(stage).p50) for stage in STAGES),
            _ms(one.spread("ours").p99),
            _ms(one.jitter_buffer_s) if one.jitter_buffer_s is not None else "-",
            len(one.gaps_s) if one.kind != "embedded" else "-",
        )
        for one in run.answers
        if one.turns
    ]
    yield from table(head, rows)


def _costs(run: Run) -> Iterator[str]:
    """CPU and memory."""
    yield from ("", "Costs: CPU ms per second and PSS (RSS) in MB, by service; egress per session")
    names = [name for name in _SERVICES if any(one.total(name).rss_mb for one in run.answers)]
    head = ("", "sessions", *names, "egress ms/s", "silent", "egress MB", "waited for a CPU")
    rows = [
        (
            KINDS[one.kind],
            one.sessions,
            *(_cost(one, name) for name in names),
            f"{own_cpu(one) * 1000:.1f}",
            f"{one.silent_cpu * 1000 / one.sessions:.1f}" if one.silent_cpu else "-",
            f"{_grown(one) / one.sessions:.1f}",
            _percent(one.pressure),
        )
        for one in run.answers
    ]
    yield from table(head, rows)
    yield "egress ms/s: without the persons of in-process rooms, who are played inside of it"
    yield "silent: the same before anybody speaks"
    yield "egress MB: what it has grown since before the first session of the case"


def _cost(one: Answers, name: str) -> str:
    total = one.total(name)
    if not total.rss_mb:
        return "-"
    return f"{total.cpu * 1000:.0f} {total.pss_mb:.0f} ({total.rss_mb:.0f})"


def _grown(one: Answers) -> float:
    egress = one.total("egress")
    return egress.pss_mb - egress.before_pss_mb


def _floor(floor: Floor) -> Iterator[str]:
    """Interruptions."""
    yield from ("", "The floor, ms (instant engines, 1 real room, speech is one tone)")
    rows = [
        (name, one.count, _ms(one.p50), _ms(one.p95), _ms(one.p99))
        for name, one in (
            ("barge-in to silence, first of a call", spread(floor.first_s)),
            ("barge-in to silence, later", spread(floor.later_s)),
            ("verdict to sound, after a sign of attention", spread(floor.resumed_s)),
            ("silent for it", spread(floor.paused_s)),
        )
    ]
    yield from table(("", "n", "p50", "p95", "p99"), rows)
    yield f"signs that did not stop it: {floor.went_on}; that ended its answer: {floor.taken}"
    for kind, added in floor.added_s.items():
        found = ", ".join(_ms(one) for one in added)
        yield f"longer for the listener than as synthesised, long answers, {kind}: {found}"
    if floor.sentences:
        longest = f", the longest {_ms(max(floor.gaps_s))}" if floor.gaps_s else ""
        yield f"gaps over 60 ms in {floor.sentences} sentences: {len(floor.gaps_s)}{longest}"
    yield f"waited for a CPU during the interruptions: {_percent(floor.pressure)}"


def _verdict(run: Run) -> Iterator[str]:
    yield from ("", "Goals")
    rows = []
    for goal in goals(run):
        scale, unit = (1000, "ms") if goal.unit == "s" else (1, goal.unit)
        value = "-" if math.isnan(goal.value) else f"{goal.value * scale:.4g} {unit}"
        rows.append(
            (
                goal.name,
                goal.count or "",
                value,
                f"<= {goal.limit * scale:.4g} {unit}",
                goal.verdict,
            )
        )
    yield from table(("", "n", "measured", "goal", ""), rows)


def _changes(run: Run, before: Run) -> Iterator[str]:
    yield from ("", f"Now over the run of {before.made} (below 1 is better)")
    rows = [
        (
            KINDS[new.kind],
            new.sessions,
            _ratio(new.spread().p50, old.spread().p50),
            _ratio(new.spread().p95, old.spread().p95),
            _ratio(new.spread("ours").p50, old.spread("ours").p50),
            _ratio(new.total("egress").cpu, old.total("egress").cpu),
            _ratio(new.total("egress").pss_mb, old.total("egress").pss_mb),
        )
        for new in run.answers
        if (old := before.case(new.kind, new.sessions))
    ]
    head = ("", "sessions", "p50", "p95", "ours p50", "egress CPU", "egress PSS")
    yield from table(head, rows) if rows else ["nothing that both have measured"]
    if run.machine != before.machine:
        yield "The machine was another one."
    if run.floor and before.floor:
        first, then = spread(run.floor.first_s), spread(before.floor.first_s)
        yield f"barge-in to silence, first of a call, p95: {_ratio(first.p95, then.p95)}"


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Columns as wide as they must be, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(("  " + first, *rest)).rstrip()


def _ms(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.0f}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share * 100:.0f} %"


def _ratio(new: float, old: float) -> str:
    return f"{new / old:.2f}" if old and not math.isnan(new / old) else "-"
