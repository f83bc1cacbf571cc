"""Base images made on this Debian machine where no registry can be reached: same names, same paths.

Debian's Python stands in for python:3.11-slim, busybox for Alpine; uv, nats-server and
livekit-server are the very programs that `make setup` has put here.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis_local.binaries import livekit_server, nats_server
from visavis_local.page import node_command
from visavis_local.places import ROOT

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
NEEDED = ("debootstrap", "buildah", "podman", "tar")
DEBIAN = "localhost/visavis-stand-in/debian"
_TRUST = f"ENV SSL_CERT_FILE={CERTIFICATES} NODE_EXTRA_CA_CERTS={CERTIFICATES}\n"
_BUSYBOX = 'COPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
_NATS = '#!/bin/sh\nset -e\n[ "${1#-}" = "$1" ] || set -- nats-server "$@"\nexec "$@"\n'


def missing() -> list[str]:
    """Programs without which none can be made."""
    return [name for name in NEEDED if not shutil.which(name)]


def make(name: str, image: str) -> None:
    """Make the stand-in for `name` (python, node, uv, nats, livekit) and tag it as `image`."""
    with tempfile.TemporaryDirectory(prefix="visavis-stand-in-") as folder:
        context = Path(folder)
        if name in ("python", "node", "nats", "livekit"):
            _debian()
        (context / "Dockerfile").write_text(_RECIPES[name](context))
        # Without a time of its own the image has the same id again, and layers upon it are kept.
        options = ["--quiet", "--isolation", "chroot", "--format", "docker", "--timestamp", "0"]
        options += ["--label", "visavis.stand-in=1", "--tag", image]
        _run("buildah", "bud", *options, folder)


def _python(_: Path) -> str:
    """Its `python` lies in /usr/local/bin, as in the real image."""
    link = "ln -s /usr/bin/python3.11 /usr/local/bin"
    names = " && ".join(f"{link}/{name}" for name in ("python", "python3", "python3.11"))
    return f"FROM {DEBIAN}\nRUN {names}\n{_TRUST}"


def _node(context: Path) -> str:
    prefix = Path(node_command()).resolve().parent.parent
    shutil.copy(prefix / "bin" / "node", context)
    shutil.copytree(prefix / "lib" / "node_modules" / "npm", context / "npm", symlinks=True)
    npm = "ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm"
    return (
        f"FROM {DEBIAN}\nCOPY node /usr/local/bin/node\n"
        f"COPY npm /usr/local/lib/node_modules/npm\nRUN {npm}\n{_TRUST}"
    )


def _uv(context: Path) -> str:
    setup = [sys.executable, str(ROOT / "deploy" / "local" / "setup.py"), "uv"]
    said = subprocess.run(setup, check=True, capture_output=True, text=True).stdout
    shutil.copy(said.split("\n")[-2], context / "uv")
    return "FROM scratch\nCOPY uv /uv\n"


def _nats(context: Path) -> str:
    shutil.copy(nats_server(), context / "nats-server")
    (context / "docker-entrypoint.sh").write_text(_NATS)
    (context / "docker-entrypoint.sh").chmod(0o755)
    _busybox(context)
    return (
        f"FROM scratch\n{_BUSYBOX}COPY nats-server docker-entrypoint.sh /usr/local/bin/\n"
        "ENV PATH=/usr/local/bin:/bin\n"
        'ENTRYPOINT ["docker-entrypoint.sh"]\nCMD ["nats-server"]\nEXPOSE 4222\n'
    )


def _livekit(context: Path) -> str:
    shutil.copy(livekit_server(), context / "livekit-server")
    _busybox(context)
    return (
        f"FROM scratch\n{_BUSYBOX}COPY livekit-server /livekit-server\nENV PATH=/bin\n"
        'ENTRYPOINT ["/livekit-server"]\n'
    )


_RECIPES: dict[str, Callable[[Path], str]] = {
    "python": _python,
    "node": _node,
    "uv": _uv,
    "nats": _nats,
    "livekit": _livekit,
}


def _debian() -> None:
    """A minimal Debian 12 with Python and this machine's certificates; made once."""
    if not subprocess.run(["podman", "image", "exists", DEBIAN]).returncode:
        return
    print("stand-in: Debian 12 with Python 3.11 (once, about a minute)", flush=True)
    with tempfile.TemporaryDirectory(prefix="visavis-debian-") as folder:
        root = Path(folder) / "root"
        packages = "python3.11,ca-certificates,busybox-static"
        _run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root))
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
            shutil.rmtree(root / waste, ignore_errors=True)
        shutil.copy(CERTIFICATES, root / CERTIFICATES.lstrip("/"))
        archive = f"{folder}/debian.tar"
        _run("tar", "--numeric-owner", "-C", str(root), "-cf", archive, ".")
        _run("podman", "import", "--quiet", archive, DEBIAN)


def _busybox(context: Path) -> None:
    with _mounted(DEBIAN) as root:
        shutil.copy(root / "bin" / "busybox", context / "busybox")


@contextmanager
def _mounted(image: str) -> Iterator[Path]:
    said = subprocess.run(
        ["podman", "image", "mount", image], check=True, capture_output=True, text=True
    )
    try:
        yield Path(said.stdout.strip())
    finally:
        _run("podman", "image", "unmount", image)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
