"""The goals of the project's plan, beside what was measured."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.figures import Answers, Run, spread

BARGE_IN_S = 0.3 + 0.15
RESUME_S = 0.5


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the verdict; `value` is NaN where it was not measured in this form."""

    name: str
    value: float
    limit: float
    unit: str = "s"
    count: int = 0
    """How many values are behind it."""

    @property
    def verdict(self) -> str:
        """met, NOT MET, or not measured."""
        if math.isnan(self.value):
            return "not measured"
        return "met" if self.value <= self.limit else "NOT MET"


def goals(run: Run) -> list[Goal]:
    """In the order of the plan."""
    return [*_of_answers(run), *_of_floor(run)]


def _of_answers(run: Run) -> Iterator[Goal]:
    alone = run.case("in-process", 1)
    ours = alone.spread("ours") if alone else spread([])
    text = "ours (neither wait, model nor WebRTC), 1 session, in-process"
    yield Goal(f"{text}, p50", ours.p50, 0.020, count=ours.count)
    yield Goal(f"{text}, p99", ours.p99, 0.050, count=ours.count)
    many = run.case("in-process", 64)
    ratio = many.spread().p50 / alone.spread().p50 if many and alone else math.nan
    yield Goal("voice-to-voice p50 at 64 sessions over 1, in-process", ratio, 1.25, "x")
    most = _largest(run)
    cpu = own_cpu(most) * 1000 if most else math.nan
    sessions = most.sessions if most else 0
    yield Goal(f"egress CPU a session without the SDK ({sessions} sessions)", cpu, 10, "ms/s")
    yield Goal(
        f"egress memory a session without the SDK ({sessions} sessions)",
        marginal_mb(alone, most),
        5,
        "MB",
    )
    room = run.case("instant", 1)
    beyond = spread(turn["heard"] - turn["wait"] for turn in room.turns) if room else spread([])
    text = "voice-to-voice minus the wait, instant engines, 1 room, p50"
    yield Goal(text, beyond.p50, 0.12, count=beyond.count)


def _of_floor(run: Run) -> Iterator[Goal]:
    floor = run.floor
    first = spread(floor.first_s if floor else [])
    later = spread(floor.later_s if floor else [])
    resumed = spread(floor.resumed_s if floor else [])
    text = "barge-in to silence, p95"
    yield Goal(f"{text}, first of a call", first.p95, BARGE_IN_S, count=first.count)
    yield Goal(f"{text}, later", later.p95, BARGE_IN_S, count=later.count)
    yield Goal("resumed after a sign of attention, p95", resumed.p95, RESUME_S, count=resumed.count)
    gaps = float(len(floor.gaps_s)) if floor and floor.sentences else math.nan
    yield Goal("gaps over 60 ms between sentences", gaps, 0, "", floor.sentences if floor else 0)


def _largest(run: Run) -> Answers | None:
    """Up to 64 sessions: more are there to see where the machine ends."""
    found = [one for one in run.answers if one.kind == "in-process" and one.sessions <= 64]
    return max((one for one in found if one.turns), key=lambda one: one.sessions, default=None)


def own_cpu(one: Answers) -> float:
    """CPU seconds per second and session of egress, without the persons that were played in it."""
    return (one.total("egress").cpu - one.persons_cpu) / one.sessions


def marginal_mb(alone: Answers | None, many: Answers | None) -> float:
    """PSS of egress per further session; NaN with fewer than two sizes of one process count."""
    if not alone or not many or many.sessions <= alone.sessions:
        return math.nan
    grown = many.total("egress").pss_mb - alone.total("egress").pss_mb
    base = many.total("egress").before_pss_mb - alone.total("egress").before_pss_mb
    return (grown - base) / (many.sessions - alone.sessions)
