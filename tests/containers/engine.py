"""What builds images and brings the compose file up: a Docker engine, else podman with buildah."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from visavis_local.environments import environment
from visavis_local.places import ROOT

PROJECT = "visavis-test"
SERVERS = ("nats", "livekit", "model-server", "motion-sim")
SERVICES = ("token", "asr", "llm", "tts", "egress")
READY_S = 120.0
# For machines without systemd (a container, a small VM): cgroups and logs by files, and limits that
# the kernel grants. podman 4.3.1 on Debian 12 starts nothing there without these lines.
PLAIN_CONF = """\
[containers]
default_ulimits=["nofile=16384:16384","nproc=16384:16384"]
netns="private"
log_driver="k8s-file"
[network]
network_backend="netavark"
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
"""


class Unavailable(Exception):
    """Nothing here can run containers; the text says why."""


@dataclass(frozen=True)
class Engine:
    """`program`: docker or podman. `folder`: of this run. Commands raise CalledProcessError."""

    program: str
    folder: Path

    @classmethod
    def find(cls, folder: Path) -> "Engine":
        """Raises Unavailable."""
        if _succeeds("docker", "info") and _succeeds("docker", "compose", "version"):
            return cls("docker", folder)
        missing = [name for name in ("podman", "buildah") if not shutil.which(name)]
        if missing:
            _refuse(f"no Docker engine answers, and there is no {' and no '.join(missing)}")
        if os.geteuid():
            _refuse("no Docker engine answers, and podman is used as root only")
        if not Path("/run/systemd/system").exists() and "CONTAINERS_CONF" not in os.environ:
            (folder / "containers.conf").write_text(PLAIN_CONF)
            os.environ["CONTAINERS_CONF"] = str(folder / "containers.conf")
        return cls("podman", folder)

    @property
    def env_file(self) -> Path:
        """The compose file's settings in this run."""
        return self.folder / "compose.env"

    def build(self, target: str) -> None:
        """Build one target of the Dockerfile; its last lines are shown if it fails."""
        command = ["docker", "build"]
        if self.program == "podman":
            command = ["buildah", "bud", "--layers", "--isolation", "chroot", "--format", "docker"]
        tag = f"visavis/{target}:dev"
        made = subprocess.run(
            [*command, "--target", target, "--tag", tag, str(ROOT)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if made.returncode:
            print("".join(made.stdout.splitlines(keepends=True)[-30:]))
            made.check_returncode()

    def size_mb(self, image: str) -> int:
        """What the image takes, layers that others share included."""
        return int(self.say("image", "inspect", image, "--format", "{{.Size}}")) // 1_000_000

    def up(self) -> None:
        """Start everything of the profile `demo` and wait until it is healthy. TimeoutError."""
        if self.program == "docker":
            self._compose("up", "--detach", "--wait", "--wait-timeout", str(int(READY_S)))
            return
        # podman-compose leaves depends_on's health conditions out on podman 4, and its --requires
        # does not follow dependencies of dependencies: the order is kept here.
        for wave in (SERVERS, ("provision",), SERVICES):
            self._compose("up", "--detach", "--no-deps", "--no-build", *wave)
            if wave == ("provision",):
                self._provisioned()
            else:
                self._healthy(wave)

    def down(self) -> None:
        """Stop and remove containers, network and volume."""
        self._compose("down", "--volumes", "--timeout", "5", quiet=True)

    def logs(self, lines: int) -> str:
        """The last lines of every container."""
        names = [self._container(name) for name in (*SERVERS, "provision", *SERVICES)]
        command = [self.program, "logs", "--tail", str(lines)]
        tails = [subprocess.run([*command, name], capture_output=True, text=True) for name in names]
        return "\n".join(
            f"--- {name}\n{tail.stdout}{tail.stderr}"
            for name, tail in zip(names, tails, strict=True)
        )

    def say(self, *arguments: str) -> str:
        """Run the engine's program; what it says."""
        command = [self.program, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _compose(self, *arguments: str, quiet: bool = False) -> None:
        command = ["docker", "compose"]
        if self.program == "podman":
            command = [str(environment("podman_compose") / "bin" / "podman-compose")]
        more = ["--env-file", str(self.env_file), "--project-name", PROJECT, "--profile", "demo"]
        done = subprocess.run(
            [*command, *more, *arguments], cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode and not quiet:
            print(done.stdout[-3000:], done.stderr[-3000:], sep="\n")
            done.check_returncode()

    def _container(self, service: str) -> str:
        separator = "-" if self.program == "docker" else "_"
        return f"{PROJECT}{separator}{service}{separator}1"

    def _provisioned(self) -> None:
        status = self.say("wait", self._container("provision"))
        if status != "0":
            raise RuntimeError(f"provision ended with status {status}")

    def _healthy(self, names: Sequence[str]) -> None:
        """podman has systemd timers ask for health; where there is none, we ask."""
        deadline = time.monotonic() + READY_S
        waiting = list(names)
        while waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not healthy within {READY_S:.0f} s: {', '.join(waiting)}")
            ask = ("podman", "healthcheck", "run")
            waiting = [name for name in waiting if not _succeeds(*ask, self._container(name))]
            time.sleep(0.5)


def _refuse(why: str) -> NoReturn:
    packages = "buildah podman runc netavark aardvark-dns iptables debootstrap"
    raise Unavailable(f"{why} (Debian 12: apt-get install --no-install-recommends {packages})")


def _succeeds(*command: str) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, timeout=30).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
