"""Seconds of engines behind what was not used."""

import pytest
from prometheus_client import REGISTRY

from visavis_egress.conversation.commands import CountSpeculation, Speculation
from visavis_egress.waste import Waste


class Account:
    """The counters since now."""

    def __init__(self) -> None:
        self.waste = Waste()
        self._before = {stage: self._total(stage) for stage in ("asr", "llm", "tts")}

    def _total(self, stage: str) -> float:
        name = "vv_speculation_wasted_seconds_total"
        return REGISTRY.get_sample_value(name, {"stage": stage}) or 0.0

    def wasted(self, stage: str) -> float:
        return self._total(stage) - self._before[stage]


@pytest.fixture
def account() -> Account:
    return Account()


def test_of_an_attempt_that_is_used_nothing_is_wasted(account: Account) -> None:
    account.waste.generated(5, 0.4)
    account.waste.spoken(5, 0, 0.1)
    account.waste.judged(CountSpeculation(5, Speculation.USED))
    account.waste.generated(5, 0.9)
    assert account.wasted("llm") == account.wasted("tts") == 0


def test_of_a_dropped_attempt_everything_is_whenever_it_is_told(account: Account) -> None:
    waste = account.waste
    waste.generated(5, 0.3)
    waste.generated(5, 0.4)
    waste.spoken(5, 0, 0.1)
    waste.judged(CountSpeculation(5, Speculation.CHANGED))
    waste.generated(5, 0.5)
    waste.spoken(5, 1, 0.2)
    waste.spoken(5, 1, 0.2)  # an end mark that came twice
    waste.generated(6, 9.0)
    assert account.wasted("llm") == pytest.approx(0.5)
    assert account.wasted("tts") == pytest.approx(0.3)


def test_of_the_snapshots_of_a_turn_only_the_newest_was_of_use(account: Account) -> None:
    for revision, seconds in ((1, 0.2), (2, 0.3), (3, 0.4), (2, 0.3)):
        account.waste.recognised(revision, seconds)
    account.waste.turn_committed()
    account.waste.turn_committed()
    assert account.wasted("asr") == pytest.approx(0.5)


def test_attempts_of_long_ago_are_not_kept(account: Account) -> None:
    for epoch in range(1, 21):
        account.waste.generated(epoch, 0.5)
        account.waste.spoken(epoch, 0, 0.1)
    account.waste.turn_committed()
    account.waste.judged(CountSpeculation(12, Speculation.DROPPED))
    assert account.wasted("llm") == account.wasted("tts") == 0
    account.waste.judged(CountSpeculation(13, Speculation.DROPPED))
    assert account.wasted("llm") == pytest.approx(0.5)
    assert account.wasted("tts") == pytest.approx(0.1)
