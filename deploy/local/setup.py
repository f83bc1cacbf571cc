"""Prepare .venv: the pinned installer, the locked packages, our own packages in editable form.

Runs on a bare Python 3.11 with nothing installed. A step whose inputs have not changed since the
last run is skipped, so that a second run costs a fraction of a second. Usage: setup.py {uv,env}
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
CACHE = Path(os.environ.get("VISAVIS_CACHE") or Path.home() / ".cache" / "visavis")


def uv() -> Path:
    """The pinned uv in the cache folder, installed by pip if it is not there yet."""
    pinned = ROOT / "requirements" / "uv.txt"
    match = re.search(r"^uv==(\S+)", pinned.read_text(), re.MULTILINE)
    assert match, f"no uv in {pinned}"
    folder = CACHE / f"uv-{match[1]}"
    program = folder / "bin" / "uv"
    done = folder / ".complete"
    if not done.exists():
        _say(f"uv {match[1]} (once)")
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", pinned)
        done.touch()
    return program


def sync() -> None:
    """Bring .venv to requirements/dev.txt and install our packages into it."""
    packages = sorted(
        path.parent
        for pattern in ("proto/python", "services/*", "deploy/local")
        for path in ROOT.glob(f"{pattern}/pyproject.toml")
    )
    locked = _digest([LOCK])
    ours = _digest([LOCK, *(package / "pyproject.toml" for package in packages)])
    if _stamp("locked") != locked:
        _say("Python packages (about 1 GB the first time)")
        _run(uv(), "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV)
        _install("sync", "--require-hashes", LOCK)
        _stamp("locked", locked)
        _stamp("ours", "")
    if _stamp("ours") != ours:
        _say("our packages, editable")
        editable = [argument for package in packages for argument in ("--editable", str(package))]
        _install("install", "--quiet", "--no-deps", "--no-build-isolation", *editable)
        _stamp("ours", ours)


def _install(verb: str, *arguments: str | Path) -> None:
    _run(uv(), "pip", verb, "--python", VENV / "bin" / "python", *arguments)


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in paths:
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def _stamp(name: str, value: str | None = None) -> str:
    """What the stamp says; with a value, writes it first."""
    path = VENV / f".visavis-{name}"
    if value is not None:
        path.write_text(value)
    return path.read_text() if path.exists() else ""


def _run(*command: str | Path) -> None:
    status = subprocess.run([str(part) for part in command], cwd=ROOT).returncode
    if status:
        raise SystemExit(f"setup: {Path(command[0]).name} failed with status {status}")


def _say(what: str) -> None:
    print(f"setup: {what}", flush=True)


def main() -> None:
    """Do the named step."""
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(f"setup: Python 3.11 is needed, this is {sys.version.split()[0]}")
    step = sys.argv[1] if len(sys.argv) == 2 else ""
    if step == "uv":
        print(uv())
    elif step == "env":
        VENV.mkdir(exist_ok=True)
        began = time.monotonic()
        # Two runs at once in one checkout wait for each other.
        with (VENV / ".visavis-busy").open("w") as busy:
            fcntl.flock(busy, fcntl.LOCK_EX)
            sync()
        if (took := time.monotonic() - began) > 1:
            _say(f"done in {took:.0f} s")
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
