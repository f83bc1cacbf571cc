"""What was computed for nothing: engine seconds behind words and answers that nobody heard."""

from collections import defaultdict

from visavis_egress import telemetry
from visavis_egress.conversation.commands import CountSpeculation, Speculation

_KEPT = 8
"""Attempts that may still be of interest."""


class Waste:
    """One session's account. An attempt's seconds are kept until it is known what became of it."""

    def __init__(self) -> None:
        self._generating: dict[int, float] = {}
        self._speaking: defaultdict[int, dict[int, float]] = defaultdict(dict)
        self._recognising: dict[int, float] = {}
        self._void: set[int] = set()

    def recognised(self, revision: int, seconds: float) -> None:
        """A snapshot was recognised."""
        self._recognising[revision] = seconds

    def generated(self, epoch: int, seconds: float) -> None:
        """An attempt has taken so long up to now."""
        before = self._generating.get(epoch, 0.0)
        self._generating[epoch] = max(seconds, before)
        if epoch in self._void:
            _count("llm", self._generating[epoch] - before)

    def spoken(self, epoch: int, sentence: int, seconds: float) -> None:
        """A sentence of an attempt was synthesised; its end mark may come twice."""
        is_news = sentence not in self._speaking[epoch]
        self._speaking[epoch][sentence] = seconds
        if is_news and epoch in self._void:
            _count("tts", seconds)

    def turn_committed(self) -> None:
        """Of the snapshots since the last turn only the newest was of use."""
        newest = max(self._recognising, default=0)
        _count("asr", sum(took for one, took in self._recognising.items() if one != newest))
        self._recognising.clear()
        for kept in (self._generating, self._speaking):
            for epoch in sorted(kept)[:-_KEPT]:
                del kept[epoch]

    def judged(self, command: CountSpeculation) -> None:
        """It is known what became of an attempt; lower ones are of no interest any more."""
        telemetry.SPECULATION_TOTAL.labels(command.outcome.value).inc()
        if command.outcome is not Speculation.USED:
            _count("llm", self._generating.get(command.epoch, 0.0))
            _count("tts", sum(self._speaking[command.epoch].values()))
            self._void = {command.epoch}
        self._generating = {k: v for k, v in self._generating.items() if k >= command.epoch}
        for epoch in [epoch for epoch in self._speaking if epoch < command.epoch]:
            del self._speaking[epoch]


def _count(stage: str, seconds: float) -> None:
    if seconds > 0:
        telemetry.SPECULATION_WASTED_SECONDS.labels(stage).inc(seconds)
