"""What is said in the evaluation: complete utterances and unfinished ones, read from text files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTS = ("tuning", "held_out")
_FOLDER = Path(__file__).parent / "sentences"


@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing to say."""

    kind: str
    """statement, question, request, short, one-word, number or closing."""
    said: str
    then: str = ""
    """How an unfinished one goes on after the pause; empty: it is complete."""
    before: str = ""
    """What the avatar said before; empty: nothing."""

    @property
    def is_complete(self) -> bool:
        return not self.then


def utterances(part: str) -> list[Utterance]:
    """Everything of `part`, in the order of its file. ValueError for a line that is none."""
    return list(_parse((_FOLDER / f"{part}.txt").read_text()))


def _parse(text: str) -> Iterator[Utterance]:
    """Blocks are divided by empty lines."""
    for block in text.split("\n\n"):
        kind = before = ""
        for line in block.splitlines():
            mark, _, rest = line.partition(" ")
            if mark == "#":
                continue
            if mark == "@":
                before = rest
                continue
            said, bar, then = rest.partition(" | ")
            if mark != "~":
                kind, then = mark.removesuffix(":"), ""
            if bool(bar) != (mark == "~") or not (kind and said):
                raise ValueError(f"neither 'kind: text' nor '~ said | then': {line}")
            yield Utterance(kind, said, then, before)
