"""`make demo`: all processes under honcho, one spoken conversation; everything ends together.

The exit status is the conversation's. At a terminal it keeps serving after it, until Ctrl-C.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager

from visavis_local.places import ROOT
from visavis_local.stack import LocalStack, StackError

PROCFILE = ROOT / "deploy" / "local" / "Procfile"
KEEP_SERVING = "VISAVIS_TALK_KEEP_SERVING"


class _Manager(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's, made safe against a signal that comes while the processes are being started: it
    would look for the ids of those that have none yet, fail, and leave the others running.
    """

    _asked_early = False

    def terminate(self) -> None:
        if super()._all_started():
            super().terminate()
        else:
            self._asked_early = True

    def _all_started(self) -> bool:
        started = bool(super()._all_started())
        if started and self._asked_early:
            self._asked_early = False
            super().terminate()
        return started


def run(stack: LocalStack, procfile: str) -> int:
    """Start everything, wait for the end; the exit status of the conversation.

    That is what the conversation has left in `stack.verdict`, at whatever moment all was ended
    after it. Without a verdict it is a failure, whoever ended first and however.
    """
    environ = os.environ | stack.exported() | {"PYTHONUNBUFFERED": "1"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    if sys.stdout.isatty():
        environ[KEEP_SERVING] = "1"
    manager = _Manager()
    wanted = {*stack.processes, "provision", "talk"}
    for name, command in parse_procfile(procfile).processes.items():
        if name in wanted:
            manager.add_process(name, f"exec {command}", env=environ, cwd=str(ROOT))
    # A closed terminal is a Ctrl-C as well.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    if stack.verdict.exists():
        return int(stack.verdict.read_text())
    return manager.returncode or 1


def main() -> None:
    """Run in a folder of its own, which goes with the run."""
    with tempfile.TemporaryDirectory(prefix="visavis-demo-") as folder:
        try:
            stack = LocalStack.create(Path(folder))
        except StackError as error:
            raise SystemExit(f"demo: {error}") from None
        status = run(stack, PROCFILE.read_text())
    sys.exit(status)


if __name__ == "__main__":
    main()
