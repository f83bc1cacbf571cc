"""Kustomizations built and taken apart: documents, and the environment that a container gets."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from visavis_local.environments import environment, replace
from visavis_local.places import CACHE

VERSION = "v5.8.2"  # the newest that Go 1.26 builds: requirements/livekit_build.in has that
PACKAGE = f"sigs.k8s.io/kustomize/kustomize/v5@{VERSION}"

Document = dict[str, Any]


def build(folder: Path) -> list[Document]:
    """The documents of a kustomization."""
    done = subprocess.run([*_kustomize(), str(folder)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    # Warnings of kustomize (a deprecated field) go the same way as errors.
    assert not done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Name and pod specification of everything that runs."""
    for document in documents:
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def environ(
    container: Document, documents: list[Document], secrets: list[Document]
) -> dict[str, str]:
    """What the container's process finds; KeyError where a needed key is nowhere.

    An optional key that is nowhere is left out, as in a cluster.
    """
    sources = {"configMapKeyRef": ("ConfigMap", "data"), "secretKeyRef": ("Secret", "stringData")}
    found: dict[str, str] = {}
    for variable in container.get("env", []):
        name = variable["name"]
        assert name not in found, f"{name} is given twice"
        if "value" in variable:
            found[name] = variable["value"]
            continue
        ((source, ref),) = variable["valueFrom"].items()
        if source == "fieldRef":
            found[name] = ref["fieldPath"]
            continue
        kind, field = sources[source]
        data = _data(documents + secrets, kind, ref["name"], field)
        if ref["key"] in data or not ref.get("optional"):
            found[name] = data[ref["key"]]
    return found


def _data(documents: list[Document], kind: str, name: str, field: str) -> dict[str, str]:
    for document in documents:
        if (document["kind"], document["metadata"]["name"]) == (kind, name):
            return dict(document[field])
    return {}


@cache
def _kustomize() -> list[str]:
    """The command: kubectl or kustomize on PATH, built earlier, or built now (a minute)."""
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    if found := shutil.which("kustomize"):
        return [found, "build"]
    program = CACHE / f"kustomize-{VERSION}" / "kustomize"
    return [str(program if program.exists() else _build(program)), "build"]


def _build(program: Path) -> Path:
    go = shutil.which("go") or str(environment("livekit_build") / "bin" / "go")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        settings = {"GOBIN": folder, "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw"}
        subprocess.run([go, "install", PACKAGE], check=True, env=os.environ | settings)
        return replace(Path(folder) / "kustomize", program)
