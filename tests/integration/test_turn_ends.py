"""The end of a turn on spoken clips, with the real pieces: the short form of `make eval-turns`."""

from pathlib import Path

import pytest

from tests.eval.turns.clips import short_clips
from tests.eval.turns.hearing import hear
from tests.eval.turns.replay import point
from tests.eval.turns.rules import shipped, silence
from tests.eval.turns.voices import Voices

CLIPS = 12


@pytest.mark.audio
@pytest.mark.timeout(180)
def test_a_person_who_pauses_is_cut_off_less_and_one_who_is_done_is_not_kept_waiting(
    tmp_path: Path,
) -> None:
    heard = hear(short_clips("tuning", Voices(), CLIPS), jobs=1, kept=tmp_path)
    balanced = next(one.rule for one in shipped() if one.label == "balanced")

    fused = point("balanced", heard, balanced)
    quick = point("silence", heard, silence(0.3))
    as_safe = point("silence", heard, silence(1.2))

    # Synthetic speech of one voice: the figures that count are those of `make eval-turns`.
    assert quick.cut_share >= 0.5
    assert fused.cut_share <= quick.cut_share / 2
    assert fused.cut_inside_share == fused.endless_share == 0
    assert fused.wait_s < as_safe.wait_s
