"""One server process: started, waited for, stopped by its id, its output in a file."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

START_TIMEOUT_S = 20.0
POLL_S = 0.03


class StartError(RuntimeError):
    """A process ended or did not become ready; the text holds the end of its output."""


@dataclass
class ServerProcess:
    """A program with its environment; `ready_url` answers 2xx once it serves.

    Not thread safe. The output of all starts is appended to `log`.
    """

    name: str
    command: Sequence[str]
    log: Path
    ready_url: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: float = 10.0
    _popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; RuntimeError when it was never started."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} is not started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """True between start and the process' end."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start, and return once it serves. StartError otherwise, with nothing left running."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | dict(self.environ),
                # Ctrl-C at the terminal reaches us, and we stop it in our order.
                start_new_session=True,
            )
        if self.ready_url:
            self._wait_until_ready(self.ready_url)

    def _wait_until_ready(self, url: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.running and time.monotonic() < deadline:
            if answers(url):
                return
            time.sleep(POLL_S)
        why = "is not ready" if self.running else f"ended with status {self.exit_status}"
        self.kill()
        raise StartError(f"{self.name} {why} (log: {self.log}):\n{self.tail()}")

    @property
    def exit_status(self) -> int | None:
        """Status of the ended process, None while it runs; -9 after SIGKILL."""
        return self._popen.poll() if self._popen else None

    def tail(self, lines: int = 20) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing if it has ended. After a SIGSTOP it has stopped."""
        if self._popen:
            self._popen.send_signal(number)
        if self._popen and number is signal.SIGSTOP:
            os.waitid(os.P_PID, self._popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after `stop_timeout_s`; returns when it has ended."""
        if self._popen is None:
            return
        self._popen.terminate()
        try:
            self._popen.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""
        if self._popen:
            self._popen.kill()
            self._popen.wait()


def answers(url: str) -> bool:
    """True if a GET of `url` is answered with 2xx within a second."""
    try:
        with urlopen(url, timeout=1.0) as response:
            return 200 <= int(response.status) < 300
    except (URLError, OSError):
        return False
