"""Python environments of their own, in the cache folder, for programs that must stay apart."""

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from visavis_local.places import CACHE, ROOT


def environment(name: str) -> Path:
    """The environment locked by requirements/<name>.txt, made if it is missing; its folder.

    The folder's name carries the lock's hash, so a changed lock makes a new one.
    """
    lock = ROOT / "requirements" / f"{name}.txt"
    folder = CACHE / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    complete = folder / ".complete"
    if not complete.exists():
        print(f"setup: {name.replace('_', ' ')} environment (once)", flush=True)
        uv = _uv()
        python = str(folder / "bin" / "python")
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(lock))
        complete.touch()
    return folder


@cache
def _uv() -> str:
    setup = ROOT / "deploy" / "local" / "setup.py"
    said = subprocess.run(
        [sys.executable, str(setup), "uv"], check=True, capture_output=True, text=True
    )
    return said.stdout.split("\n")[-2]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


def checked(path: Path, sha256: str) -> Path:
    """`path` if its content has the hash, else ValueError."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name}: sha256 is {found}, expected {sha256}")
    return path


def replace(made: Path, final: Path) -> Path:
    """Move a finished file into place in one step, so that nobody ever sees half of it."""
    final.parent.mkdir(parents=True, exist_ok=True)
    near = final.with_name(f"{final.name}.{made.parent.name}.part")
    shutil.move(made, near)
    near.replace(final)
    return final
