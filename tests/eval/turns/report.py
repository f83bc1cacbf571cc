"""What the evaluation prints."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.eval.turns import curves
from tests.eval.turns.clips import CLEAN, NOISES, PAUSE_LONGEST_S, PAUSE_SHORTEST_S
from tests.eval.turns.curves import FAMILIES, Curves
from tests.eval.turns.hearing import Heard
from tests.eval.turns.replay import (
    SOUND_TAKES_S,
    TEXT_TAKES_S,
    WORDS_TAKE_S,
    Point,
    outcome,
    point,
)
from tests.eval.turns.rules import DELAYS_S, shipped, swept
from tests.eval.turns.spread import intervals

FIRST_LINE = (
    "All speech here is synthetic, and that is biased against smart-turn: it listens for how a "
    "real person hesitates, and a synthetic voice does not hesitate."
)
GOAL_RATIO, GOAL_CUTS = 0.5, 0.10
MOST_ENDLESS = 0.5
RATES = (0.05, 0.10, 0.15, 0.20)
Parts = Mapping[str, Sequence[Heard]]


def report(parts: Parts) -> str:
    """All tables as Markdown. `parts`: `tuning` and `held_out`."""
    quiet: Parts = {name: in_noise(heard, CLEAN) for name, heard in parts.items()}
    tuned = curves.tuned(quiet["tuning"])
    lines = [FIRST_LINE, "", *_counts(parts), "", *_how(), ""]
    for name, heard in quiet.items():
        lines += [*_rates(name, heard, quiet["tuning"], tuned), ""]
    lines += [*_verdict(quiet["held_out"]), ""]
    for name, heard in parts.items():
        lines += [*_profiles(name, heard), ""]
    lines += [*_kinds(quiet["held_out"]), ""]
    return "\n".join(lines)


def in_noise(heard: Sequence[Heard], noise: str) -> list[Heard]:
    """Those of one noise."""
    return [one for one in heard if one.clip.noise == noise]


def silence_points(heard: Sequence[Heard]) -> list[Point]:
    """Plain silence at every delay: the curve that the others are compared with."""
    return [point(one.label, heard, one.rule) for one in swept("silence")]


def _counts(parts: Parts) -> Iterator[str]:
    for name, heard in parts.items():
        quiet = [one.clip for one in in_noise(heard, CLEAN)]
        texts = {(clip.utterance.said, clip.utterance.is_complete) for clip in quiet}
        complete = sum(is_complete for _, is_complete in texts)
        voices = ", ".join(sorted({clip.voice for clip in quiet}))
        yield (
            f"{name}: {complete} complete and {len(texts) - complete} unfinished utterances, "
            f"voices {voices}; {len(quiet)} clips in quiet, {len(heard) - len(quiet)} with noise."
        )


def _how() -> Iterator[str]:
    yield (
        "Wait: from the end of a complete utterance to the end of the turn. Cut off: the turn is "
        "ended in the pause of an unfinished one. The settings of a curve are those that nothing "
        "beats on the tuning part; the same settings are then run on the held-out part."
    )
    yield ""
    shortest, longest = PAUSE_SHORTEST_S, PAUSE_LONGEST_S
    yield (
        f"Pauses: log-normal, median 0.47 s, between {shortest:g} and {longest:g} s, fitted to "
        "what plain silence cuts off in eot-bench's English calls (55.6 % at 0.3 s, 21.7 % at "
        f"0.6 s, 5 % at 1.6 s). Recognition is taken to need {WORDS_TAKE_S:g} s, the text score "
        f"{TEXT_TAKES_S:g} s and the sound score {SOUND_TAKES_S:g} s, whatever they took here."
    )


def _rates(
    name: str, heard: Sequence[Heard], tuning: Sequence[Heard], tuned: Curves
) -> Iterator[str]:
    yield f"## {name}, quiet: settings chosen on tuning for a share of cut-offs"
    yield ""
    yield "| wanted | rule | setting | cut off | mean / median wait | silence for it | ratio |"
    yield "|---|---|---|---|---|---|---|"
    plain = silence_points(heard)
    for rate in RATES:
        for family in FAMILIES:
            chosen = curves.at_most(tuned.points(family, tuning), rate)
            if chosen is None:
                yield f"| ≤ {rate:.0%} | {family} | none reaches it | | | | |"
                continue
            setting = tuned.chosen[family][chosen]
            at = point(setting.label, heard, setting.rule)
            yield f"| ≤ {rate:.0%} | {family} | {at.label} | {_against(at, plain)} |"


def _against(at: Point, plain: Sequence[Point]) -> str:
    if at.endless_share > MOST_ENDLESS:
        return f"{at.cut_share:.1%} | – | – | –"  # the waits of the few that ended tell nothing
    same_s = curves.silence_wait_s(plain, at.cut_share)
    waits = f"{at.wait_s:.2f} / {at.median_wait_s:.2f} s"
    if math.isinf(same_s):
        return f"{at.cut_share:.1%} | {waits} | > {DELAYS_S[-1]:g} s | –"
    return f"{at.cut_share:.1%} | {waits} | {same_s:.2f} s | {at.wait_s / same_s:.2f}"


def _verdict(held_out: Sequence[Heard]) -> Iterator[str]:
    plain = silence_points(held_out)
    balanced = next(one for one in shipped() if one.label == "balanced")
    at = point("balanced", held_out, balanced.rule)
    same_s = curves.silence_wait_s(plain, at.cut_share)
    ratio = at.wait_s / same_s
    cuts, ratios = intervals(held_out, balanced.rule)
    yield "## Goals, held-out part, quiet, profile balanced"
    yield ""
    yield (
        f"False cut-offs {at.cut_share:.1%} (95 % interval over the utterances "
        f"{cuts[0]:.1%} to {cuts[1]:.1%}), goal {GOAL_CUTS:.0%} at most: "
        f"{'reached' if at.cut_share <= GOAL_CUTS else 'MISSED'}."
    )
    is_reached = "reached" if ratio <= GOAL_RATIO else "MISSED"
    yield (
        f"Mean wait {at.wait_s:.2f} s, plain silence for the same cut-offs {same_s:.2f} s: "
        f"{ratio:.2f} of it ({ratios[0]:.2f} to {ratios[1]:.2f}), goal {GOAL_RATIO:g}: "
        f"{is_reached}."
    )


def _profiles(name: str, heard: Sequence[Heard]) -> Iterator[str]:
    yield f"## {name}: the profiles in noise"
    yield ""
    yield (
        "| noise | profile | cut off | wait mean / median | silence for the same | ratio | "
        "complete ones ended early | never ended |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for noise in (CLEAN, *NOISES):
        some = in_noise(heard, noise)
        if not some:
            continue
        plain = silence_points(some)
        for setting in shipped():
            at = point(setting.label, some, setting.rule)
            yield (
                f"| {noise} | {at.label} | {_against(at, plain)} | {at.cut_inside_share:.1%} "
                f"| {at.endless_share:.1%} |"
            )


def _kinds(heard: Sequence[Heard]) -> Iterator[str]:
    yield "## held_out, quiet, balanced: by kind of utterance"
    yield ""
    yield "| kind | unfinished | cut off | complete | mean wait |"
    yield "|---|---|---|---|---|"
    balanced = next(one for one in shipped() if one.label == "balanced")
    for kind in sorted(Counter(one.clip.utterance.kind for one in heard)):
        some = [one for one in heard if one.clip.utterance.kind == kind]
        at = point(kind, some, balanced.rule)
        unfinished = [one for one in some if not one.clip.utterance.is_complete]
        cut = sum(outcome(one, balanced.rule).is_cut for one in unfinished)
        yield (
            f"| {kind} | {len(unfinished)} | {cut} | {len(some) - len(unfinished)} "
            f"| {at.wait_s:.2f} s |"
        )
