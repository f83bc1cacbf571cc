"""What processes cost, as Linux counts it: CPU, memory, and how much was waited for a CPU."""

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.figures import Share

_PROC = Path("/proc")
_TICKS_HZ = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process with all its threads; 0 if it is gone."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_HZ


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS (shared pages by share); zeros if it is gone or may not be read."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0, 0.0
    sizes = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines[1:]}
    return sizes.get("Rss:", 0.0), sizes.get("Pss:", 0.0)


def waited_s() -> float:
    """Seconds since the start of the machine in which somebody waited for a CPU; 0: not counted."""
    try:
        lines = (_PROC / "pressure" / "cpu").read_text().splitlines()
    except OSError:
        return 0.0
    return int(lines[0].rpartition("total=")[2]) / 1e6


def described() -> dict[str, str]:
    """The machine, for whoever compares."""
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": platform.release(),
        "python": platform.python_version(),
    }


class Meter:
    """Memory before from its making on; CPU and pressure between `begin` and `shares`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: memory_mb(pid)[1] for name, pid in self._pids.items()}
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._cpu = {name: cpu_s(pid) for name, pid in self._pids.items()}
        self._at, self._waited = time.monotonic(), waited_s()

    @property
    def seconds(self) -> float:
        """Since `begin`."""
        return time.monotonic() - self._at

    @property
    def pressure(self) -> float:
        """Share of the time since `begin` in which somebody waited for a CPU."""
        return (waited_s() - self._waited) / max(self.seconds, 1e-9)

    def shares(self) -> dict[str, Share]:
        """What every process has used since `begin`, and the memory that it has now."""
        seconds = max(self.seconds, 1e-9)
        cpu = {name: (cpu_s(pid) - self._cpu[name]) / seconds for name, pid in self._pids.items()}
        memory = {name: memory_mb(pid) for name, pid in self._pids.items()}
        return {
            name: Share(round(cpu[name], 4), *memory[name], self._before[name])
            for name in self._pids
        }
