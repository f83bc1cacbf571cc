"""`make test-containers`: images, one spoken conversation through the compose file, the bus suite.

Where nothing can run containers: "not run: why", and exit status 0, or 1 if
VISAVIS_TEST_CONTAINERS_REQUIRED is set (a CI machine that must have an engine).
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers import standins
from tests.containers.engine import SERVERS, SERVICES, Engine, Unavailable
from visavis_local.places import ROOT
from visavis_local.ports import free_port

TARGETS = (*SERVICES, "provision", *SERVERS[2:])
BASES = {
    "python": ("Dockerfile", r"^ARG PYTHON_IMAGE=(\S+)$"),
    "node": ("Dockerfile", r"^ARG NODE_IMAGE=(\S+)$"),
    "uv": ("Dockerfile", r"^ARG UV_IMAGE=(\S+)$"),
    "nats": ("docker-compose.yml", r"image: (\S+/nats:\S+)$"),
    "livekit": ("docker-compose.yml", r"image: (\S+/livekit-server:\S+)$"),
}
PULL_S = 180
SOCKET_S = 10.0


def main() -> int:
    """0: all was well, or nothing could be run and nobody insists."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # with all cleaning up
    with tempfile.TemporaryDirectory(prefix="visavis-containers-") as folder:
        try:
            engine = Engine.find(Path(folder))
            with _base_images(engine):
                _build(engine)
                return _conversation(engine) or _bus_suite(engine)
        except Unavailable as reason:
            print(f"not run: {reason}")
            return int(bool(os.environ.get("VISAVIS_TEST_CONTAINERS_REQUIRED")))


@contextmanager
def _base_images(engine: Engine) -> Iterator[None]:
    """Have them: here already, pulled, or stand-ins whose names go with the run."""
    made = []
    try:
        for name, (file, pattern) in BASES.items():
            found = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
            assert found, f"{file}: no image of {name}"
            if _stand_in(engine, name, found[1]):
                made.append(found[1])
        yield
    finally:
        for image in made:
            engine.say("untag", image)


def _stand_in(engine: Engine, name: str, image: str) -> bool:
    """Whether `image` had to be made here. Unavailable if it cannot be had at all."""
    if not subprocess.run(
        [engine.program, "image", "inspect", image], capture_output=True
    ).returncode:
        return False
    try:
        pull = [engine.program, "pull", "--quiet", image]
        if not subprocess.run(pull, capture_output=True, timeout=PULL_S).returncode:
            return False
    except subprocess.TimeoutExpired:
        pass
    if engine.program == "docker":
        raise Unavailable(f"{image} cannot be pulled")
    if missing := standins.missing():
        raise Unavailable(f"{image} cannot be pulled, nor made here without {', '.join(missing)}")
    print(f"stand-in, made on this machine: {image}", flush=True)
    standins.make(name, image)
    return True


def _build(engine: Engine) -> None:
    for target in TARGETS:
        begun = time.monotonic()
        engine.build(target)
        size, took = engine.size_mb(f"visavis/{target}:dev"), time.monotonic() - begun
        print(f"image visavis/{target}:dev  {size} MB  {took:.0f} s", flush=True)


def _conversation(engine: Engine) -> int:
    """The demo's conversation with the containers; its exit status."""
    settings = _settings(engine)
    try:
        begun = time.monotonic()
        engine.up()
        print(f"compose: all healthy after {time.monotonic() - begun:.0f} s", flush=True)
        status = _talk(settings, engine.folder)
        _page(settings)
    except BaseException:
        print(engine.logs(15))
        raise
    finally:
        engine.down()
    print(f"conversation: exit status {status}", flush=True)
    return status


def _settings(engine: Engine) -> dict[str, str]:
    """Fresh secrets and free ports, in the file that compose reads."""
    made = [str(ROOT / "deploy" / "compose" / "env.sh")]
    text = subprocess.run(made, check=True, capture_output=True, text=True).stdout
    ports = {name: free_port() for name in ("HTTP", "GRPC", "LIVEKIT", "MEDIA")}
    text += "".join(f"VISAVIS_PORT_{name}={port}\n" for name, port in ports.items())
    text += f"VISAVIS_LIVEKIT_PUBLIC_URL=ws://127.0.0.1:{ports['LIVEKIT']}\n"
    engine.env_file.write_text(text)
    lines = (line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return dict(lines)


def _talk(settings: dict[str, str], folder: Path) -> int:
    verdict = folder / "verdict"
    environ = os.environ | {
        "VISAVIS_LOCAL_FOLDER": str(folder),
        "VISAVIS_LOCAL_PORT_TOKEN_GRPC": settings["VISAVIS_PORT_GRPC"],
        "VISAVIS_TALK_API_KEY": settings["VISAVIS_API_KEYS"],
        "VISAVIS_TALK_VERDICT": str(verdict),
        "VISAVIS_TALK_LOG": str(folder / "talk.log"),
        # Not on a port of this machine's: its requests are not counted.
        "VISAVIS_LLM_BASE_URL": settings["VISAVIS_LLM_BASE_URL"],
    }
    return subprocess.run([sys.executable, "-m", "visavis_local.talk"], env=environ).returncode


def _page(settings: dict[str, str]) -> None:
    """It is served, and gives a token to whoever comes from this machine."""
    address = f"http://127.0.0.1:{settings['VISAVIS_PORT_HTTP']}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert "assets/main-" in answer.read().decode(), "the page was not built"
    asked = urllib.request.Request(
        f"{address}/token", b"{}", {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert json.load(answer)["participant_token"]
    print("page: served, with a token for this machine", flush=True)


def _bus_suite(engine: Engine) -> int:
    """The bus contract suite against NATS in containers of testcontainers; pytest's exit status."""
    environ = os.environ | {"VISAVIS_TEST_SERVERS": "containers"}
    with _socket(engine) as more:
        suite = [sys.executable, "-m", "pytest", "-q", "tests/contract/test_bus.py", "-k", "nats"]
        return subprocess.run(suite, cwd=ROOT, env=environ | more).returncode


@contextmanager
def _socket(engine: Engine) -> Iterator[dict[str, str]]:
    """What testcontainers needs to find the engine; podman serves Docker's API on a socket."""
    if engine.program == "docker":
        yield {}
        return
    path = engine.folder / "podman.sock"
    address = f"unix://{path}"
    service = subprocess.Popen(
        ["podman", "system", "service", "--time=0", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SOCKET_S
        while not path.exists():
            if service.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("podman does not serve its socket")
            time.sleep(0.05)
        yield {
            "DOCKER_HOST": address,
            # Its container would need the socket inside; the fixtures stop what they start.
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
        }
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait()


if __name__ == "__main__":
    sys.exit(main())
