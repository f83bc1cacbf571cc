"""The compose file and the services: every setting can be given, every given one is accepted."""

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from visavis_asr.settings import Settings as Asr
from visavis_egress.settings import Settings as Egress
from visavis_llm.settings import Settings as Llm
from visavis_local.places import ROOT
from visavis_model_server.settings import ModelServerSettings
from visavis_motion_sim.settings import Settings as MotionSim
from visavis_token.settings import Settings as Token
from visavis_tts.settings import Settings as Tts

SETTINGS: Mapping[str, type[BaseSettings]] = {
    "token": Token,
    "asr": Asr,
    "llm": Llm,
    "tts": Tts,
    "egress": Egress,
    "model-server": ModelServerSettings,
    "motion-sim": MotionSim,
}
COMPOSE = ROOT / "docker-compose.yml"
MAKE_ENV = ROOT / "deploy" / "compose" / "env.sh"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
# The scripted engines of tests; where a process listens is the image's business.
NOT_A_USERS = re.compile(
    r"_FAKE_|_ENGINE$|_(HEALTH|GRPC|HTTP|SERVER|SIM)_(HOST|PORT)$|_LOG_FORMAT$"
)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_given_and_a_service_is_told_only_what_it_knows(name: str) -> None:
    known = {str(field.validation_alias) for field in SETTINGS[name].model_fields.values()}
    told = set(SERVICES[name]["environment"])
    image = set(re.findall(r"(VISAVIS_\w+)=", (ROOT / "Dockerfile").read_text()))
    assert told <= known
    assert {one for one in known - told - image if not NOT_A_USERS.search(one)} == set()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_services_accept_the_examples_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _resolved(SERVICES[name]["environment"], _example())
    image = dict(re.findall(r"(VISAVIS_\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))
    for field in SETTINGS[name].model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    for variable, value in (image | told).items():
        monkeypatch.setenv(variable, value)
    SETTINGS[name]()


def _example() -> dict[str, str]:
    """What env.sh makes of .env.example."""
    said = subprocess.run([str(MAKE_ENV)], check=True, capture_output=True, text=True).stdout
    assert "GENERATE" not in re.sub(r"^#.*$", "", said, flags=re.MULTILINE)
    return dict(re.findall(r"^(\w+)=(.*)$", said, re.MULTILINE))


def _resolved(environment: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Compose's ${NAME:-default} and ${NAME:?why}."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        assert given.get(name) or kind == "-", f"{name} is missing in .env.example"
        return given.get(name) or rest

    pattern = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")
    return {key: pattern.sub(value, str(text)) for key, text in environment.items()}
