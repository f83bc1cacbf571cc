"""The size budget and the import fences, checked over the whole tree.

Run as a program: prints every violation, exit status 1 if there is one.
"""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePath

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_NESTING = 4
MAX_RUNTIME_LINES = 1000

Function = ast.FunctionDef | ast.AsyncFunctionDef
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def over_budget(path: PurePath, source: str) -> Iterator[str]:
    """Violations of the size budget in one file, one sentence each."""
    lines = source.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{path}: {lines} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Function):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name}: {length} lines, at most {MAX_FUNCTION_LINES}"
        if (depth := nesting(node)) > MAX_NESTING:
            yield f"{path}:{node.lineno}: {node.name} is nested {depth} deep, at most {MAX_NESTING}"


def nesting(node: ast.AST) -> int:
    """How deep blocks lie in each other below `node`; `elif` is not deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        adds = 1 if isinstance(child, NESTING) and not is_elif else 0
        deepest = max(deepest, adds + nesting(child))
    return deepest


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _within(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def fence_breaches(files: dict[PurePath, str], fences: dict[str, list[str]]) -> Iterator[str]:
    """Imports that stand outside their fence.

    `fences`: library -> patterns of the files that may import it. "pattern:1" allows one file of
    the pattern, whichever it is: one file per vendor library.
    """
    importers: dict[str, dict[PurePath, int]] = {library: {} for library in fences}
    for path, source in files.items():
        for line, name in imports(source):
            for library in fences:
                if _within(name, library):
                    importers[library].setdefault(path, line)
    for library, places in importers.items():
        for path, line in places.items():
            if not any(
                fnmatch(str(path), pattern.removesuffix(":1")) for pattern in fences[library]
            ):
                yield f"{path}:{line}: may not import {library}"
        for pattern in fences[library]:
            inside = [path for path in places if fnmatch(str(path), pattern.removesuffix(":1"))]
            if pattern.endswith(":1") and len(inside) > 1:
                yield f"{library}: imported by {len(inside)} files of {pattern[:-2]}, not one"


def crossed_services(files: dict[PurePath, str]) -> Iterator[str]:
    """Imports of one service by another; all may import the shared runtime, which imports none."""
    packages = {path.parts[1] for path in files if path.parts[0] == "services"}
    for path, source in files.items():
        if path.parts[0] != "services":
            continue
        foreign = packages - {path.parts[1], "runtime"}
        for line, name in imports(source):
            if any(_within(name, f"visavis_{package}") for package in foreign):
                yield f"{path}:{line}: {path.parts[1]} may not import {name}"


def violations(root: Path) -> list[str]:
    """Everything that is wrong in the checkout at `root`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    files = {
        PurePath(name): (root / name).read_text()
        for name in listed
        if name and not name.startswith("proto/python/") and (root / name).exists()
    }
    fences = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["visavis"]["fences"]
    found = [problem for path, source in files.items() for problem in over_budget(path, source)]
    found += fence_breaches(files, fences)
    found += crossed_services(files)
    runtime = sum(
        source.count("\n")
        for path, source in files.items()
        if path.is_relative_to("services/runtime/visavis_runtime")
    )
    if runtime > MAX_RUNTIME_LINES:
        found.append(f"services/runtime: {runtime} lines, at most {MAX_RUNTIME_LINES}")
    return found


if __name__ == "__main__":
    problems = violations(Path(__file__).resolve().parents[2])
    print(*problems, sep="\n", end="\n" if problems else "")
    sys.exit(bool(problems))
