"""What the terminal shows of many processes: the conversation, and what goes wrong.

Everything else is in one log file a process, one line an event.
"""

import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from honcho.printer import Printer

from visavis_local.places import CACHE

KEPT_RUNS = 5
WIDTH = 160
_TALK, _SYSTEM = "talk", "system"
_SERVERS_LEVEL = re.compile(r'\[(?:ERR|FTL)\]|"level":"(?:error|fatal|panic)"')
_SERVICES_LEVEL = re.compile(r"\[(?:warning|error|critical)\s*\]")


def logs_folder() -> Path:
    """A fresh folder for one run's logs; those of the last few runs are kept."""
    parent = CACHE / "demo"
    parent.mkdir(parents=True, exist_ok=True)
    for old in sorted(parent.glob("*-*"))[: 1 - KEPT_RUNS]:
        for file in old.glob("*.log"):
            file.unlink(missing_ok=True)
        old.rmdir()
    folder = parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 1_000_000:06}"
    folder.mkdir()
    return folder


def is_worth_showing(line: str) -> bool:
    """A warning of a service or an error of a server. LiveKit warns whenever somebody leaves."""
    return bool(_SERVICES_LEVEL.search(line) or _SERVERS_LEVEL.search(line))


class Console(Printer):  # type: ignore[misc]  # honcho has no types
    """Takes the place of honcho's printer."""

    def __init__(self, logs: Path) -> None:
        super().__init__(sys.stdout)
        self.logs = logs
        self._is_quiet = False
        self._files: dict[str, TextIO] = {}

    def write(self, message: Any) -> None:
        """One or more lines of a process, or of the manager."""
        data = message.data
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        name = message.name or _SYSTEM
        for line in text.splitlines():
            if name == _TALK:
                print(line, flush=True)
                continue
            print(line, file=self._file(name), flush=True)
            if not self._is_quiet and is_worth_showing(line):
                print(f"  ! {name}: {line}"[:WIDTH], flush=True)

    def hush(self) -> None:
        """Show the conversation alone from now on: everything is being ended, and says so."""
        self._is_quiet = True

    def tail(self, name: str, lines: int = 5) -> str:
        """The end of what a process wrote."""
        file = self.logs / f"{name}.log"
        written = file.read_text().splitlines() if file.exists() else []
        return "\n".join(f"  | {line}"[:WIDTH] for line in written[-lines:])

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _file(self, name: str) -> TextIO:
        if name not in self._files:
            self._files[name] = (self.logs / f"{name}.log").open("a")
        return self._files[name]
