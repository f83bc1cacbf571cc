"""A run's statistics, verdicts, comparison and picture."""

import json
import math
from xml.etree import ElementTree

import pytest

from tests.bench.figures import Answers, Floor, Run, Share, spread
from tests.bench.goals import goals
from tests.bench.path import STAGES
from tests.bench.picture import picture
from tests.bench.report import report


def _answers(kind: str, sessions: int, heard_s: float, *, pss_mb: float = 100.0) -> Answers:
    turn = dict.fromkeys(STAGES, 0.01) | {"heard": heard_s, "wait": 0.35}
    egress = Share(cpu=0.02 * sessions, rss_mb=150, pss_mb=pss_mb, before_pss_mb=90)
    return Answers(
        kind,
        sessions,
        turns=[turn] * 3,
        speculation={"used": 3, "changed": 1},
        processes={"egress-crowd-0": egress},
        persons_cpu=0.004 * sessions,
        seconds=20,
    )


def _run(*answers: Answers, floor: Floor | None = None) -> Run:
    return Run("short", "yesterday", {"cpu": "one"}, list(answers), floor)


def _verdicts(run: Run) -> dict[str, str]:
    return {goal.name: goal.verdict for goal in goals(run)}


def test_percentiles_are_values_that_occurred() -> None:
    found = spread(range(1, 101))
    assert (found.p50, found.p95, found.p99) == (50, 95, 99)
    assert spread([3.0]).p99 == 3.0
    assert math.isnan(spread([]).p50)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert set(_verdicts(_run()).values()) == {"not measured"}


def test_a_crowd_is_measured_against_a_person_alone() -> None:
    alone = _answers("in-process", 1, 0.40, pss_mb=95)
    text = "voice-to-voice p50 at 64 sessions over 1, in-process"
    memory = "egress memory a session without the SDK (64 sessions)"
    near = _run(alone, _answers("in-process", 64, 0.49, pss_mb=95 + 63 * 4.9))
    far = _run(alone, _answers("in-process", 64, 0.51, pss_mb=95 + 63 * 5.1))
    assert (_verdicts(near)[text], _verdicts(near)[memory]) == ("met", "met")
    assert (_verdicts(far)[text], _verdicts(far)[memory]) == ("NOT MET", "NOT MET")


def test_the_persons_that_are_played_in_egress_are_not_its_cost() -> None:
    run = _run(_answers("in-process", 4, 0.4))
    (cpu,) = [goal for goal in goals(run) if goal.name.startswith("egress CPU")]
    assert cpu.value == pytest.approx(16.0)


def test_the_first_interruption_of_a_call_has_a_verdict_of_its_own() -> None:
    floor = Floor(first_s=[0.4, 0.46], later_s=[0.4, 0.44], resumed_s=[0.1])
    found = _verdicts(_run(floor=floor))
    assert found["barge-in to silence, p95, first of a call"] == "NOT MET"
    assert found["barge-in to silence, p95, later"] == "met"


def test_a_kept_run_is_what_it_was_and_the_next_one_is_compared_with_it() -> None:
    old = _run(_answers("instant", 1, 0.5), floor=Floor(first_s=[0.4]))
    kept = Run.from_json(json.loads(json.dumps(old.to_json())))
    assert kept == old
    text = report(_run(_answers("instant", 1, 0.6), floor=Floor(first_s=[0.2])), kept)
    (line,) = [line for line in text.split("below 1 is better")[1].splitlines() if "real" in line]
    assert line.split()[-5:] == ["1.20", "1.20", "1.00", "1.00", "1.00"]
    assert "first of a call, p95: 0.50" in text


def test_the_costs_of_a_service_are_those_of_its_replicas() -> None:
    share = Share(cpu=0.1, rss_mb=10, pss_mb=10, before_pss_mb=10)
    names = ("egress", "egress-1", "model-server", "motion-sim")
    answers = Answers("instant", 1, processes=dict.fromkeys(names, share))
    found = {name: answers.total(name).cpu for name in ("egress", "model-server", "motion-sim")}
    assert found == {"egress": 0.2, "model-server": 0.1, "motion-sim": 0.1}


def test_the_share_of_early_answers_that_were_used() -> None:
    assert _answers("instant", 1, 0.5).hit_rate == 0.75
    assert "75 %" in report(_run(_answers("instant", 1, 0.5)), None)


def test_the_picture_has_a_bar_for_every_stage_of_every_case() -> None:
    run = _run(_answers("instant", 1, 0.5), _answers("in-process", 4, 0.4))
    tree = ElementTree.fromstring(picture(run))
    titles = [one.text or "" for one in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 2 * len(STAGES)
    assert titles[: len(STAGES)] == [f"{stage} 10 ms" for stage in STAGES]
