"""All clips through the pieces, in stages; every answer is kept, so a second run takes seconds."""

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.eval.turns import listening, texts
from tests.eval.turns.clips import Clip
from tests.eval.turns.listening import Silence
from tests.eval.turns.memory import Memory, answered
from visavis_local.places import CACHE

ANSWERS = CACHE / "eval" / "answers"
_EGRESS = "services/egress/visavis_egress"


@dataclass(frozen=True, slots=True)
class Scored:
    """A silence with what the scorers say of it."""

    silence: Silence
    words: str
    text: float | None
    """Probability by the words; None: no words were recognised."""
    sound: float | None
    """Probability by the sound; None: it was not asked."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip and its silences."""

    clip: Clip
    silences: tuple[Scored, ...]


def hear(clips: Sequence[Clip], *, jobs: int, kept: Path = ANSWERS) -> list[Heard]:
    """Voice activity, recognition and both scores of all clips; answers are kept in `kept`."""
    found = _silences(clips, jobs, kept)
    snapshots = [
        [clip.pcm[slice(*one.snapshot)] for one in quiet]
        for clip, quiet in zip(clips, found, strict=True)
    ]
    words = answered(
        Memory(
            kept,
            "words",
            "services/asr/visavis_asr/whisper.py",
            "services/asr/visavis_asr/guard.py",
        ),
        (one for row in snapshots for one in row),
        _pooled("recognition", listening.words, jobs),
    )
    sounds = answered(
        Memory(kept, "sounds", f"{_EGRESS}/smart_turn.py", f"{_EGRESS}/mel.py"),
        (
            clip.pcm[slice(*one.sounded)]
            for clip, quiet in zip(clips, found, strict=True)
            for one in quiet
            if one.sounded
        ),
        _pooled("sound score", listening.sound, jobs),
    )
    asked = [
        [texts.encoded(words[one], clip.utterance.before) for one in row if words[one]]
        for clip, row in zip(clips, snapshots, strict=True)
    ]
    text_scores = answered(
        Memory(kept, "texts", "services/llm/visavis_llm/turn_end.py"),
        (one for row in asked for one in row),
        texts.end_probabilities,
    )

    def scored(clip: Clip, silence: Silence) -> Scored:
        said = words[clip.pcm[slice(*silence.snapshot)]]
        return Scored(
            silence,
            said,
            text_scores[texts.encoded(said, clip.utterance.before)] if said else None,
            sounds[clip.pcm[slice(*silence.sounded)]] if silence.sounded else None,
        )

    return [
        Heard(clip, tuple(scored(clip, one) for one in quiet))
        for clip, quiet in zip(clips, found, strict=True)
    ]


def _silences(clips: Sequence[Clip], jobs: int, kept: Path) -> list[list[Silence]]:
    by_content = {_content(clip): clip for clip in clips}

    def ask(contents: Iterable[bytes]) -> Iterable[Any]:
        wanted = [by_content[one] for one in contents]
        for quiet in _pooled("voice activity", listening.silences, jobs)(wanted):
            yield [asdict(one) for one in quiet]

    code = [f"{_EGRESS}/{name}.py" for name in ("silero", "conversation/listening")]
    memory = Memory(kept, "silences", *code, "tests/eval/turns/listening.py")
    known = answered(memory, by_content, ask)
    return [[_silence(**one) for one in known[_content(clip)]] for clip in clips]


def _silence(
    *,
    from_s: float,
    until_s: float,
    snapshot: Sequence[int],
    sounded: Sequence[int] | None,
) -> Silence:
    begin, end = snapshot
    return Silence(from_s, until_s, (begin, end), (sounded[0], sounded[1]) if sounded else None)


def _content(clip: Clip) -> bytes:
    return f"{clip.said_from_s} {clip.said_until_s} {clip.pause_s}\n".encode() + clip.pcm


def _pooled(name: str, piece: Callable[[Any], Any], jobs: int) -> Callable[[Iterable[Any]], Any]:
    """Asks `piece` in several processes, tells how far it is, keeps the order."""

    def ask(contents: Iterable[Any]) -> Iterable[Any]:
        given = list(contents)
        if jobs == 1:
            yield from map(piece, given)
            return
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for i, answer in enumerate(pool.imap(piece, given, chunksize=4), 1):
                if i % 200 == 0 or i == len(given):
                    print(f"eval-turns: {name} {i}/{len(given)}", flush=True)
                yield answer

    return ask
