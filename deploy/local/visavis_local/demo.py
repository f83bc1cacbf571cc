"""`make demo`: all processes under honcho, one spoken conversation; everything ends together.

The exit status is the conversation's. At a terminal it keeps serving after it, until Ctrl-C.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer

from visavis_local.console import Console, logs_folder
from visavis_local.places import ROOT
from visavis_local.stack import SERVICES, LocalStack, StackError
from visavis_local.talk import KEEP_SERVING, LOG

PROCFILE = ROOT / "deploy" / "local" / "Procfile"
TALK_STOP_S, SERVICES_STOP_S, SERVERS_STOP_S = 10.0, 12.0, 3.0
"""How long a group may take to end before it is killed. Egress lets a running turn end: 10 s."""


class _Manager(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's, which ends all at once and kills after 5 s. This one ends the conversation first,
    then the services, then the servers that they need, and each group has its own time.

    A signal that comes while the processes are being started waits until all have ids.
    """

    def __init__(self, on_ending: Callable[[], None], printer: Printer | None) -> None:
        super().__init__(printer)
        self._on_ending = on_ending
        self.first_to_end: str | None = None
        """The process whose end was the end of all; None if it was a signal."""
        self._is_ending = False
        self._ending_since: dict[str, float] = {}

    def terminate(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._on_ending()
            ended = (name for name, one in self._processes.items() if "returncode" in one)
            self.first_to_end = next(ended, None)

    def kill(self) -> None:
        """Nothing: see `_end_next`."""

    def status(self, name: str) -> int:
        """Exit status of an ended process, negative after a signal."""
        return int(self._processes[name]["returncode"])

    def _all_started(self) -> bool:
        # The loop asks this at least ten times a second.
        started = bool(super()._all_started())
        if started and self._is_ending:
            self._end_next()
        return started

    def _end_next(self) -> None:
        """SIGTERM for the first group that still runs; SIGKILL when its time is over."""
        alive = [name for name, one in self._processes.items() if "returncode" not in one]
        group, patience_s = _first_group(alive)
        for name in group:
            pid, now = self._processes[name]["pid"], time.monotonic()
            if name not in self._ending_since:
                self._ending_since[name] = now
                self._procmgr.terminate(pid)
            elif now - self._ending_since[name] > patience_s:
                self._procmgr.kill(pid)


def _first_group(alive: list[str]) -> tuple[list[str], float]:
    if "talk" in alive:
        return ["talk"], TALK_STOP_S
    if services := [name for name in alive if name in SERVICES]:
        return services, SERVICES_STOP_S
    return alive, SERVERS_STOP_S


def run(stack: LocalStack, procfile: str, console: Console | None = None) -> int:
    """Start everything, wait for the end; the exit status of the conversation.

    That is what the conversation has left in `stack.verdict`, at whatever moment all was ended
    after it. Without a verdict it is a failure, whoever ended first and however.
    """
    environ = os.environ | stack.exported() | {"PYTHONUNBUFFERED": "1"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    if sys.stdin.isatty():
        environ[KEEP_SERVING] = "1"
    if console:
        environ[LOG] = str(console.logs / "talk.log")
    manager = _Manager(console.hush if console else lambda: None, console)
    wanted = {*stack.processes, "provision", "talk"}
    for name, command in parse_procfile(procfile).processes.items():
        if name in wanted:
            manager.add_process(name, f"exec {command}", env=environ, cwd=str(ROOT))
    # A closed terminal is a Ctrl-C as well.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    if stack.verdict.exists():
        return int(stack.verdict.read_text())
    if not (culprit := manager.first_to_end):
        return manager.returncode or 1
    if console and culprit != "talk":
        print(f"\ndemo: {culprit} ended ({_how(manager.status(culprit))}); its last lines:")
        print(console.tail(culprit))
    return 1


def _how(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def main() -> None:
    """Run in a folder of its own, which goes with the run."""
    with tempfile.TemporaryDirectory(prefix="visavis-demo-") as folder:
        try:
            stack = LocalStack.create(Path(folder))
        except StackError as error:
            raise SystemExit(f"demo: {error}") from None
        with closing(Console(logs_folder())) as console:
            print(f"demo: starting {', '.join(stack.processes)}; logs: {console.logs}", flush=True)
            status = run(stack, PROCFILE.read_text(), console)
        print(f"demo: everything has ended, exit status {status}; logs: {console.logs}")
    sys.exit(status)


if __name__ == "__main__":
    main()
