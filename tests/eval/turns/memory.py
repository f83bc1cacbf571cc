"""Results kept in a folder, by the content and the code that they were made from."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from visavis_local.places import ROOT


class Memory:
    """Answers of one piece; a change of its `code` (paths in the checkout) forgets them."""

    def __init__(self, folder: Path, name: str, *code: str) -> None:
        digest = hashlib.sha256(b"\0".join((ROOT / path).read_bytes() for path in code))
        self._path = folder / f"{name}-{digest.hexdigest()[:16]}.jsonl"
        self._known: dict[str, Any] = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                key, value = json.loads(line)
                self._known[key] = value

    def missing(self, contents: Iterable[bytes]) -> dict[str, bytes]:
        """Those that have no answer yet, each once, by key."""
        keyed = {key_of(content): content for content in contents}
        return {key: content for key, content in keyed.items() if key not in self._known}

    def add(self, answers: Iterable[tuple[str, Any]]) -> None:
        """Keep answers as they come: what is done when the run is stopped stays done."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", buffering=1) as file:
            for key, value in answers:
                self._known[key] = value
                file.write(json.dumps([key, value]) + "\n")

    def __getitem__(self, content: bytes) -> Any:
        return self._known[key_of(content)]


def key_of(content: bytes) -> str:
    """Its name."""
    return hashlib.sha256(content).hexdigest()[:32]


def answered(
    memory: Memory,
    contents: Iterable[bytes],
    ask: Callable[[Iterable[bytes]], Iterable[Any]],
) -> Memory:
    """`memory` with an answer to all `contents`; `ask` is given the missing ones."""
    missing = memory.missing(contents)
    if missing:
        memory.add(zip(missing, ask(missing.values()), strict=True))
    return memory
