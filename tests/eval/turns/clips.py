"""Clips: an utterance in one voice and one noise, with what is known of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tests.eval.turns import noise
from tests.eval.turns.utterances import Utterance, utterances
from tests.eval.turns.voices import HIBARI, RATE_HZ, VOICES, Voices

LEAD_S = 0.8
TAIL_S = 3.0
"""Heard after a complete utterance; from then on it is taken as silent."""
CLEAN = "clean"
NOISES = tuple(f"{kind} {snr_db} dB" for kind in ("babble", "street") for snr_db in (20, 10, 5))
VOICES_PER_UTTERANCE = 2
"""In quiet; with noise it is one."""

# Pauses inside a turn: a log-normal distribution through what plain silence cuts off in eot-bench's
# English calls (55.6 % at 0.3 s, 21.7 % at 0.6 s, 5 % at 1.6 s; table published with the models
# turnwave and turn-1), least squares over the three. Shorter ones than a dip's sound question are
# no test of anything, so only pauses of 0.2 s and more are drawn: our median is 0.47 s.
PAUSE_MU, PAUSE_SIGMA = -1.127, 0.935
PAUSE_SHORTEST_S, PAUSE_LONGEST_S = 0.2, 5.0

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """What the microphone hears."""

    utterance: Utterance
    voice: str
    noise: str
    pcm: bytes
    """Mono s16le at 16 kHz, from before the first word to the end of all."""
    said_from_s: float
    said_until_s: float
    """Where the words of `utterance.said` begin and end."""
    pause_s: float
    """Until it goes on; infinite for a complete one."""


def pauses(count: int, seed: int) -> list[float]:
    """`count` pauses in seconds, stratified: evenly over the distribution, in random order."""
    log_pause = NormalDist(PAUSE_MU, PAUSE_SIGMA)
    low, high = (log_pause.cdf(math.log(s)) for s in (PAUSE_SHORTEST_S, PAUSE_LONGEST_S))
    drawn = [
        math.exp(log_pause.inv_cdf(low + (high - low) * (i + 0.5) / count)) for i in range(count)
    ]
    order = np.random.default_rng(seed).permutation(count)
    return [drawn[i] for i in order]


def clips(part: str, voices: Voices) -> Iterator[Clip]:
    """All of `part`: in quiet by two voices, in each noise by one of them."""
    names = VOICES[part]
    spoken = list(utterances(part))
    seed = 1 + list(VOICES).index(part)
    yield from _clips(spoken, names, voices, seed=seed)


def short_clips(part: str, voices: Voices, count: int) -> list[Clip]:
    """The first `count` utterances of `part`, by hibari, in quiet."""
    said = list(utterances(part))[:count]
    return [_clip(one, HIBARI, p, voices) for one, p in _with_pauses(said, 1)]


def _with_pauses(said: Sequence[Utterance], seed: int) -> Iterator[tuple[Utterance, float]]:
    drawn = iter(pauses(sum(not one.is_complete for one in said), seed))
    for one in said:
        yield one, math.inf if one.is_complete else next(drawn)


def _clips(
    said: Sequence[Utterance], names: Sequence[str], voices: Voices, *, seed: int
) -> Iterator[Clip]:
    quiet = [
        _clip(one, names[(i + 2 * turn) % len(names)], pause_s, voices)
        for turn in range(VOICES_PER_UTTERANCE)
        for i, (one, pause_s) in enumerate(_with_pauses(said, seed + 10 * turn))
    ]
    yield from quiet
    speech = [voices.speak(clip.utterance.said, clip.voice) for clip in quiet]
    beds = {"babble": noise.babble(speech, seed), "street": noise.street(seed)}
    for name in NOISES:
        kind, snr_db, _ = name.split()
        gain = 10 ** (-int(snr_db) / 20)
        for i, clip in enumerate(quiet[: len(said)]):
            yield _noisy(clip, name, gain * beds[kind], at=i * 7919 * 16)


def _clip(said: Utterance, voice: str, pause_s: float, voices: Voices) -> Clip:
    words = voices.speak(said.said, voice)
    until_s = LEAD_S + len(words) / RATE_HZ
    after = [_silence(TAIL_S)]
    if not said.is_complete:
        after = [_silence(pause_s), voices.speak(said.then, voice)]
    sound = np.concatenate([_silence(LEAD_S), words, *after])
    sound += noise.floor(len(sound), len(sound))
    return Clip(said, voice, CLEAN, _s16(sound), LEAD_S, until_s, pause_s)


def _noisy(clip: Clip, name: str, bed: Samples, *, at: int) -> Clip:
    sound = np.frombuffer(clip.pcm, "<i2").astype(np.float32) / 32768
    # From another place of the bed for each clip, round its end.
    heard = np.asarray(
        sound + np.take(bed, np.arange(at, at + len(sound)), mode="wrap"), np.float32
    )
    return Clip(
        clip.utterance,
        clip.voice,
        name,
        _s16(heard),
        clip.said_from_s,
        clip.said_until_s,
        clip.pause_s,
    )


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def _s16(sound: Samples) -> bytes:
    return (np.clip(sound, -1, 32767 / 32768) * 32768).astype("<i2").tobytes()
