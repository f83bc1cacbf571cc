"""Generate the Python bindings of the contracts, or check that proto/python holds them."""

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
BINDINGS = PROTO / "python"
_MYPY, _MYPY_GRPC = (
    f"--plugin={name}={Path(sys.executable).parent / name}"
    for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
)
"""The environment's own, wherever PATH leads."""
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(out: Path) -> None:
    """Write the bindings of every contract under `out`; SystemExit with protoc's error status."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("visavis/**/*.proto"))
    well_known = Path(protoc.__file__).parent / "_proto"
    with_services = [name for name in sources if "\nservice " in (PROTO / name).read_text()]
    _run(
        [
            f"-I{PROTO}",
            f"-I{well_known}",
            _MYPY,
            f"--python_out={out}",
            f"--mypy_out=quiet:{out}",
            *sources,
        ]
    )
    _run(
        [
            f"-I{PROTO}",
            f"-I{well_known}",
            _MYPY_GRPC,
            f"--grpc_python_out={out}",
            f"--mypy_grpc_out=quiet:{out}",
            *with_services,
        ]
    )


def _run(arguments: list[str]) -> None:
    status = protoc.main(["protoc", *arguments])
    if status:
        raise SystemExit(status)


def _generated(root: Path) -> set[Path]:
    return {path.relative_to(root) for pattern in GENERATED for path in root.rglob(pattern)}


def drift(fresh: Path) -> list[Path]:
    """Files that differ between `fresh` and the committed bindings, or are in one of them only."""
    ours, theirs = _generated(BINDINGS), _generated(fresh)
    changed = {
        path
        for path in ours & theirs
        if not filecmp.cmp(BINDINGS / path, fresh / path, shallow=False)
    }
    return sorted(changed | (ours ^ theirs))


def main() -> None:
    """Generate; with --check only compare, exit status 1 on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check_only = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        changed = drift(fresh)
        if check_only:
            if changed:
                print("Out of date, run `make proto`:", *changed, sep="\n  ", file=sys.stderr)
                raise SystemExit(1)
            return
        for path in changed:
            _bring_over(fresh / path, BINDINGS / path)
            print(f"proto/python/{path}")


def _bring_over(fresh: Path, committed: Path) -> None:
    if not fresh.exists():
        committed.unlink()
        return
    committed.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(fresh, committed)


if __name__ == "__main__":
    main()
