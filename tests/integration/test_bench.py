"""The benchmark's harness: persons in in-process rooms are heard, answered and accounted for."""

import math

import pytest

from tests.bench import crowd
from tests.bench.path import STAGES

pytestmark = [pytest.mark.audio, pytest.mark.timeout(90), pytest.mark.slow]


async def test_every_question_of_every_person_is_answered_and_accounted_for() -> None:
    async with crowd.place({"VISAVIS_LLM_FAKE_TEXT": "I hear you."}) as where:
        found = await crowd.ask(where, sessions=2, turns=1, slots=2, silent_s=0.5)
    assert (len(found.turns), found.lost, found.cut_off) == (2, 0, 0)
    assert found.speculation == {"used": 2}
    for turn in found.turns:
        assert turn["heard"] == pytest.approx(math.fsum(turn[stage] for stage in STAGES), abs=0.001)
        assert 0 < turn["wait"] <= turn["heard"]
        assert turn["setting"] in (0.3, 0.8)  # the words are scored as finished
        assert turn["ours"] >= 0
        assert turn["playout"] >= -0.001  # both clocks are one
    costs = found.total("egress")
    assert [name for name in found.processes if "egress" in name] == ["egress-crowd-0"]
    assert 0 < found.persons_cpu < costs.cpu
    assert costs.pss_mb > costs.before_pss_mb > 0
    assert "egress-crowd-0" not in where.world.stack.processes, "they are gone"
