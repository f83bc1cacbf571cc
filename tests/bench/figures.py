"""Numbers of a run and what they are kept in; seconds unless a name says otherwise."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """Order statistics of a sample; NaN where there is nothing."""

    count: int
    p50: float
    p95: float
    p99: float
    mean: float


def spread(values: Iterable[float]) -> Spread:
    """Nearest rank: p99 of few values is the largest of them, which is what it says."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, *[math.nan] * 4)
    ranks = (max(0, math.ceil(share * len(ordered)) - 1) for share in (0.5, 0.95, 0.99))
    p50, p95, p99 = (ordered[rank] for rank in ranks)
    return Spread(len(ordered), p50, p95, p99, sum(ordered) / len(ordered))


@dataclass(frozen=True, slots=True)
class Share:
    """One process: CPU seconds per second of the window, memory in MB at its end and before it."""

    cpu: float
    rss_mb: float
    pss_mb: float
    before_pss_mb: float


@dataclass(slots=True)
class Answers:
    """What a crowd of persons got: one case of sessions and engines."""

    kind: str
    """`embedded` or `instant` in real rooms, `in-process` behind a room without WebRTC."""
    sessions: int
    turns: list[dict[str, float]] = field(default_factory=list)
    """Per answer: `heard`, `wait` and the stages of `path.STAGES`."""
    lost: int = 0
    """Questions that got no answer."""
    cut_off: int = 0
    """Questions that were taken to be over before they were."""
    gaps_s: list[float] = field(default_factory=list)
    """Holes within answers whose speech has none."""
    speculation: dict[str, float] = field(default_factory=dict)
    """Outcome -> count."""
    processes: dict[str, Share] = field(default_factory=dict)
    persons_cpu: float = 0.0
    """CPU of egress that is not its own: of playing the persons in in-process rooms."""
    silent_cpu: float = 0.0
    """CPU of egress while nobody speaks yet, behind in-process rooms."""
    seconds: float = 0.0
    """Length of the window that CPU and pressure were measured in."""
    pressure: float = 0.0
    """Share of that window in which somebody on the machine waited for a CPU."""
    jitter_buffer_s: float | None = None
    """Mean delay of the listeners' jitter buffers; None: there is none."""

    def spread(self, of: str = "heard") -> Spread:
        """Of one number of the answers."""
        return spread(turn[of] for turn in self.turns)

    @property
    def hit_rate(self) -> float:
        """Share of the answers begun early that were used."""
        begun = sum(self.speculation.values())
        return self.speculation.get("used", 0.0) / begun if begun else math.nan

    def total(self, name: str) -> Share:
        """All processes of a service together; replicas are called `<name>-...`."""
        items = self.processes.items()
        found = [one for key, one in items if key == name or key.startswith(f"{name}-")]
        return Share(
            sum(one.cpu for one in found),
            sum(one.rss_mb for one in found),
            sum(one.pss_mb for one in found),
            sum(one.before_pss_mb for one in found),
        )


@dataclass(slots=True)
class Floor:
    """Interruptions: seconds from the first voiced sample to silence, and what was no turn."""

    first_s: list[float] = field(default_factory=list)
    """The first interruption of a call, within three seconds of the avatar's first sound."""
    later_s: list[float] = field(default_factory=list)
    resumed_s: list[float] = field(default_factory=list)
    """From the verdict that it was no turn to the avatar's voice again."""
    paused_s: list[float] = field(default_factory=list)
    """How long it was silent for that."""
    went_on: int = 0
    """Signs of attention that did not even stop the avatar."""
    taken: int = 0
    """Signs of attention that ended its answer: a mistake."""
    gaps_s: list[float] = field(default_factory=list)
    """Silence of more than 60 ms within an answer of several sentences, spoken as one tone."""
    added_s: dict[str, list[float]] = field(default_factory=dict)
    """Engines -> by how much each long answer was longer for the listener than as synthesised."""
    sentences: int = 0
    pressure: float = 0.0


@dataclass(slots=True)
class Run:
    """One `make bench`."""

    form: str
    made: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    answers: list[Answers] = field(default_factory=list)
    floor: Floor | None = None
    failed: list[str] = field(default_factory=list)
    """Cases that broke off."""

    def case(self, kind: str, sessions: int) -> Answers | None:
        """The answers of a case, if it was run and anybody got one."""
        found = (one for one in self.answers if (one.kind, one.sessions) == (kind, sessions))
        return next((one for one in found if one.turns), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Run":
        """What `to_json` gave. TypeError, KeyError: it is of another version."""
        answers = [
            Answers(**one | {"processes": {k: Share(**v) for k, v in one["processes"].items()}})
            for one in kept["answers"]
        ]
        floor = Floor(**kept["floor"]) if kept["floor"] else None
        made, machine = kept["made"], kept["machine"]
        return cls(kept["form"], made, machine, answers, floor, kept["failed"])
