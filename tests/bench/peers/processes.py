"""A process with all its children, and what they use together."""

import time
from pathlib import Path

from tests.bench.machine import cpu_s, memory_mb, waited_s

_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process and everything below it, as far as it lives."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        if (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def memory(pids: list[int]) -> float:
    """MB, shared pages by share."""
    return sum(memory_mb(pid)[1] for pid in pids)


class Usage:
    """CPU of processes between its making and `cores`; who comes or goes meanwhile is not lost
    but for its end."""

    def __init__(self, pids: list[int]) -> None:
        self._began = {pid: cpu_s(pid) for pid in pids}
        self._at, self._waited = time.monotonic(), waited_s()

    def cores(self, pids: list[int]) -> float:
        """Cores that were busy with them."""
        used = sum(max(0.0, cpu_s(pid) - self._began.get(pid, 0.0)) for pid in pids)
        return used / (time.monotonic() - self._at)

    def pressure(self) -> float:
        """Share of the time in which somebody on the machine waited for a CPU."""
        return (waited_s() - self._waited) / (time.monotonic() - self._at)


def _parent(entry: Path) -> int | None:
    try:
        stat = (entry / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[1])
