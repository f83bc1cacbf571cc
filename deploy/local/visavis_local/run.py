"""One line of the Procfile: wait for what the process needs, then become it.

`python -m visavis_local.run NAME`, started by the demo, which has chosen ports and folder.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from visavis_local.processes import answers
from visavis_local.stack import SERVICES, LocalStack

WAIT_S = 60.0
POLL_S = 0.1


def _wait(what: str, is_there: Callable[[], bool], why_not: Callable[[], str]) -> None:
    """Return once it is there; the process ends with a sentence after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not is_there():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting for {what} after {WAIT_S:.0f} s{why_not()}")
        time.sleep(POLL_S)


def _wait_for_process(stack: LocalStack, name: str) -> None:
    url = stack.process(name).ready_url
    assert url
    _wait(name, lambda: answers(url), lambda: _refusal(url))


def _refusal(url: str) -> str:
    """What a process that is not ready says about it."""
    try:
        urlopen(url, timeout=1.0).close()
    except HTTPError as error:
        return ": " + "; ".join(error.read().decode(errors="replace").split("\n"))
    except OSError:
        return ": it does not answer"
    return ""


def _wait_before(stack: LocalStack, name: str) -> None:
    if name == "provision":
        _wait_for_process(stack, "nats")
    elif name in SERVICES:
        _wait("the streams", stack.provisioned.exists, lambda: "")
        for needed in ("livekit", "model-server", "motion-sim"):
            if needed in stack.processes:
                _wait_for_process(stack, needed)
    elif name == "talk":
        since = time.monotonic()
        for needed in stack.processes:
            _wait_for_process(stack, needed)
            print(f"  {needed:<14} ready, {time.monotonic() - since:4.1f} s", flush=True)


def _provision(stack: LocalStack) -> None:
    """Create the streams, say so, and stay: the manager ends everything when a process ends."""
    command, environ = stack.provision()
    if status := subprocess.run(command, env=os.environ | environ).returncode:
        raise SystemExit(status)
    stack.provisioned.touch()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()


def _become(command: list[str], environ: dict[str, str]) -> None:
    os.execve(command[0], command, os.environ | environ)


def main() -> None:
    """Be the named process."""
    name = sys.argv[1]
    folder = os.environ.get("VISAVIS_LOCAL_FOLDER")
    if not folder:
        raise SystemExit("VISAVIS_LOCAL_FOLDER: missing; started by `make demo`, not by itself")
    stack = LocalStack.create(Path(folder))
    _wait_before(stack, name)
    if name == "provision":
        _provision(stack)
    elif name == "talk":
        _become([sys.executable, "-m", "visavis_local.talk"], stack.environ(name))
    else:
        process = stack.process(name)
        _become(list(process.command), dict(process.environ))


if __name__ == "__main__":
    main()
