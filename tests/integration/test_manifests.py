"""The Kubernetes manifests: schemas, security, endpoints, and the variables that services know."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic_settings import BaseSettings

from tests.support.bus_users import USERS
from tests.support.kustomize import Document, build, environ, pods
from tests.support.servers import LIVEKIT_IMAGE, NATS_IMAGE
from visavis_asr.settings import Settings as Asr
from visavis_egress.settings import Settings as Egress
from visavis_llm.settings import Settings as Llm
from visavis_local.places import ROOT
from visavis_local.stack import SERVICES
from visavis_model_server.settings import ModelServerSettings
from visavis_motion_sim.settings import Settings as MotionSim
from visavis_token.settings import Settings as Token
from visavis_tts.settings import Settings as Tts

# The first builds kustomize where neither it nor kubectl is on PATH.
pytestmark = pytest.mark.timeout(300)

FOLDERS = {"base": ROOT / "k8s" / "base", "dev": ROOT / "k8s" / "overlays" / "dev"}
# preStop.sleep is served without a feature gate from 1.30 on.
VERSIONS = ("1.30", "1.34", "1.37")
SETTINGS: Mapping[str, type[BaseSettings]] = {
    "token": Token,
    "asr": Asr,
    "llm": Llm,
    "tts": Tts,
    "egress": Egress,
    "model-server": ModelServerSettings,
    "motion-sim": MotionSim,
}
PROVISION = ROOT / "deploy" / "nats" / "provision.py"
SECRETS = FOLDERS["dev"] / "secrets.sh"


@pytest.fixture(scope="module")
def built() -> dict[str, list[Document]]:
    """Both kustomizations' documents."""
    return {name: build(folder) for name, folder in FOLDERS.items()}


@pytest.fixture(scope="module")
def secrets() -> list[Document]:
    """What the script of the dev overlay prints."""
    said = subprocess.run([str(SECRETS)], check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(said))


@pytest.fixture(params=FOLDERS)
def documents(request: pytest.FixtureRequest, built: dict[str, list[Document]]) -> list[Document]:
    """Of each of the two in turn."""
    return built[request.param]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_has_the_form_that_kubernetes_expects(
    documents: list[Document], version: str
) -> None:
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_secrets_have_the_form_that_kubernetes_expects(secrets: list[Document]) -> None:
    for document in secrets:
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


def test_a_misspelt_field_is_found(built: dict[str, list[Document]]) -> None:
    document = next(one for one in built["base"] if one["kind"] == "Deployment")
    spec = document["spec"] | {"replica": 2}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(document | {"spec": spec}, VERSIONS[0], strict=True)


def test_what_runs_where(built: dict[str, list[Document]]) -> None:
    assert {name for name, _ in pods(built["base"])} == {*SERVICES, "provision"}
    more = {"nats", "livekit", "model-server", "motion-sim"}
    assert {name for name, _ in pods(built["dev"])} == {*SERVICES, "provision", *more}
    namespaces = {one["metadata"].get("namespace") for one in built["dev"]}
    assert namespaces == {"visavis", None}  # None: the namespace itself


def test_every_pod_is_restricted(documents: list[Document]) -> None:
    namespace = next(one for one in documents if one["kind"] == "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in pods(documents):
        outer = pod["securityContext"]
        assert outer["runAsNonRoot"], name
        assert outer["runAsUser"] > 0, name
        assert outer["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["terminationGracePeriodSeconds"] == 30, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_the_services_are_asked_where_they_answer(documents: list[Document]) -> None:
    for name, container in _serving(documents):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports, name
        if name in SERVICES:
            assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
            assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
            assert str(ports["health"]) == _value(container, "VISAVIS_HEALTH_PORT")


def test_services_and_budgets_select_what_runs(documents: list[Document]) -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in documents
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
    }
    special = {"metrics": set(SERVICES), "livekit-media": {"livekit"}}
    listening = {name: {port["name"] for port in one["ports"]} for name, one in _serving(documents)}
    for one in documents:
        name, spec = one["metadata"]["name"], one.get("spec", {})
        if one["kind"] == "Service":
            chosen = _selected(spec["selector"], labels)
            assert chosen == special.get(name, {name})
            assert all(
                {port["targetPort"] for port in spec["ports"]} <= listening[x] for x in chosen
            )
        elif one["kind"] == "PodDisruptionBudget":
            assert _selected(spec["selector"]["matchLabels"], labels) == {name}


def test_every_image_is_one_that_we_build_or_test_with(documents: list[Document]) -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    ours = {f"visavis/{target}:dev" for target in targets}
    used = {container["image"] for _, container in _containers(documents)}
    assert used <= ours | {NATS_IMAGE, LIVEKIT_IMAGE}


def test_a_service_is_told_only_what_it_knows(documents: list[Document]) -> None:
    for name, container in _containers(documents):
        given = {variable["name"] for variable in container.get("env", [])}
        if name == "provision":
            assert given <= set(re.findall(r"\w*VISAVIS_\w+", PROVISION.read_text())), name
        elif name in SETTINGS:
            assert given <= set(_aliases(SETTINGS[name])), name


def test_a_service_is_told_all_that_it_needs(documents: list[Document]) -> None:
    for name, container in _containers(documents):
        given = {variable["name"] for variable in container.get("env", [])}
        if name in SETTINGS:
            needed = {key for key, must in _aliases(SETTINGS[name]).items() if must}
            assert needed <= given, name


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_services_accept_what_they_are_told(
    kind: str,
    built: dict[str, list[Document]],
    secrets: list[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, container in _containers(built[kind]):
        told = environ(container, built[kind], secrets)
        if name not in SETTINGS:
            continue
        with monkeypatch.context() as patch:
            for variable in _aliases(SETTINGS[name]):
                patch.delenv(variable, raising=False)
            for variable, value in told.items():
                patch.setenv(variable, value)
            settings = SETTINGS[name]()
        if name in SERVICES:
            assert getattr(settings, "nats_user", "") == name


def test_each_service_has_its_own_password_alone(documents: list[Document]) -> None:
    for name, container in _containers(documents):
        keys = {
            variable["valueFrom"]["secretKeyRef"]["key"]
            for variable in container.get("env", [])
            if variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "nats-passwords"
        }
        assert keys == {"nats": set(USERS)}.get(name, {name} & set(USERS)), name


def test_only_egress_is_told_where_livekit_is(documents: list[Document]) -> None:
    told = {
        name
        for name, container in _containers(documents)
        if any(variable["name"] == "VISAVIS_LIVEKIT_URL" for variable in container.get("env", []))
    }
    assert told == {"egress"}


def test_nats_in_the_cluster_has_the_configuration_of_any_other(
    built: dict[str, list[Document]],
) -> None:
    (config,) = (
        one["data"]
        for one in built["dev"]
        if one["metadata"]["name"].startswith("nats-config") and one["kind"] == "ConfigMap"
    )
    for name in ("nats-server.conf", "permissions.conf", "secured.conf"):
        assert config[name] == (ROOT / "deploy" / "nats" / name).read_text()


def test_no_secret_lies_in_the_manifests(documents: list[Document]) -> None:
    assert not [one for one in documents if one["kind"] == "Secret"]


def _containers(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    for name, pod in pods(documents):
        for container in pod["containers"]:
            yield name, container


def _serving(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    return ((name, one) for name, one in _containers(documents) if "ports" in one)


def _value(container: Document, variable: str) -> Any:
    return next(one["value"] for one in container["env"] if one["name"] == variable)


def _aliases(settings: type[BaseSettings]) -> dict[str, bool]:
    """The variables that a service knows, and whether it stops without them."""
    return {
        str(field.validation_alias): field.is_required() for field in settings.model_fields.values()
    }


def _selected(selector: Mapping[str, str], labels: Mapping[str, Mapping[str, str]]) -> set[str]:
    return {name for name, own in labels.items() if selector.items() <= own.items()}
