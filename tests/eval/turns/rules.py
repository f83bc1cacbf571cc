"""The rules that are compared, and the settings over which each is swept."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.eval.turns.replay import Known, Rule
from visavis_egress.conversation.config import PROFILES, TurnTaking
from visavis_egress.conversation.endpointing import TEXT_GOING_ON, Evidence, Score, wait_s

DELAYS_S = tuple(i / 20 for i in range(2, 61))
MINIMA_S, MIDDLES_S, MAXIMA_S = (0.2, 0.3, 0.5), (0.5, 0.8, 1.2), (1.2, 1.8, 2.5, 4.0)
TEXT_SURES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6)
GOING_ONS = (0.0, 0.05, 0.1, 0.2)
SOUND_SURES = (0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True, slots=True)
class Sureness:
    """From which probability on a scorer is sure."""

    text: float
    going_on: float
    """Words below it are going on, whatever the sound says."""
    sound: float


@dataclass(frozen=True, slots=True)
class Setting:
    """A rule with its numbers."""

    label: str
    rule: Rule


def swept(family: str) -> Iterator[Setting]:
    """All settings of `silence`, `words`, `sound` or `fusion`."""
    if family == "silence":
        for delay_s in DELAYS_S:
            yield Setting(f"{delay_s:.2f} s", silence(delay_s))
    elif family == "fusion":
        grid = product(TEXT_SURES[2:], GOING_ONS, SOUND_SURES[2:], MINIMA_S, MIDDLES_S, MAXIMA_S)
        for text, going_on, sound, least_s, middle_s, most_s in grid:
            if going_on <= text and least_s <= middle_s:
                taking = TurnTaking(min_delay_s=least_s, mid_delay_s=middle_s, max_delay_s=most_s)
                yield _fusion(Sureness(text, going_on, sound), taking)
    else:
        is_text = family == "words"
        sures = TEXT_SURES if is_text else SOUND_SURES
        for sure, least_s, most_s in product(sures, MINIMA_S, (0.8, *MAXIMA_S)):
            label = f"{sure:g}; {least_s:g} / {most_s:g} s"
            yield Setting(label, _one(is_text=is_text, sure=sure, delays_s=(least_s, most_s)))


def shipped() -> Iterator[Setting]:
    """The profiles of the product, with its own thresholds."""
    for name in ("quick", "balanced", "patient"):
        yield Setting(name, fused(PROFILES[name]))


def silence(delay_s: float) -> Rule:
    """The end after so much silence, whatever was said."""
    return lambda known: delay_s


def _one(*, is_text: bool, sure: float, delays_s: tuple[float, float]) -> Rule:
    least_s, most_s = delays_s

    def rule(known: Known) -> float:
        asked = known.text if is_text else known.sound
        return least_s if asked is not None and asked >= sure else most_s

    return rule


def _fusion(sureness: Sureness, taking: TurnTaking) -> Setting:
    delays = "/".join(
        f"{s:g}" for s in (taking.min_delay_s, taking.mid_delay_s, taking.max_delay_s)
    )
    label = f"{sureness.text:g} ({sureness.going_on:g}), {sureness.sound:g}; {delays} s"
    return Setting(label, fused(taking, sureness))


def fused(taking: TurnTaking, sureness: Sureness | None = None) -> Rule:
    """The product's own rule; with `sureness` instead of its thresholds."""

    def rule(known: Known) -> float:
        text, sound = known.text, known.sound
        if sureness and text is not None:
            text = _moved(text, sureness.text, sureness.going_on)
        if sureness and sound is not None:
            sound = float(sound >= sureness.sound)
        return wait_s(taking, Evidence(known.words, _score(text), _score(sound)))

    return rule


def _score(probability: float | None) -> Score:
    return Score() if probability is None else Score(False, probability)


def _moved(probability: float, sure: float, going_on: float) -> float:
    """One that the product's thresholds take as `sure` and `going_on` take `probability`."""
    if probability >= sure:
        return 1.0
    return 0.0 if probability < going_on else TEXT_GOING_ON
