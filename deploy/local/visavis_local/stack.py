"""The one-machine run: which processes there are, and the environment that each of them gets.

The demo starts them all; the end-to-end tests start, kill and double single ones.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from visavis_local.binaries import livekit_server
from visavis_local.places import ROOT
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess
from visavis_local.servers import livekit_process, nats_process

SERVICES = ("token", "asr", "llm", "tts", "egress")
PORTS = (
    *("nats", "nats-monitoring", "livekit", "livekit-udp", "model-server", "motion-sim"),
    *("token-grpc", "token-http", *SERVICES),  # a service's own name: its health port
)
MODEL = "smollm2-135m-instruct"
API_KEY_ID = "demo"
LIVEKIT_API_KEY = "visavis-local"
SIM_APP, SIM_AVATAR = "sim-app", "sim-avatar"

OUTSIDE_LLM = "VISAVIS_LLM_BASE_URL"
OUTSIDE_LIVEKIT = "VISAVIS_LIVEKIT_URL"
OUTSIDE_AVATAR = "SPATIUS_API_KEY"


class StackError(Exception):
    """The settings cannot work together; the text is for the person who set them."""


def _variable(port: str) -> str:
    return f"VISAVIS_LOCAL_PORT_{port.replace('-', '_').upper()}"


@dataclass(frozen=True)
class LocalStack:
    """One run. `settings`: what the person has set, which wins over what is chosen here."""

    folder: Path
    ports: Mapping[str, int]
    settings: Mapping[str, str]
    secret: str = field(repr=False)
    """Stands for every secret between our own processes of this run."""

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, str] | None = None) -> "LocalStack":
        """Choose ports (VISAVIS_LOCAL_PORT_<NAME> where set) and a secret. StackError: see `check`.

        `settings` (default: the environment) is also how a run's processes find the choices of
        the one who started them: see `exported`.
        """
        settings = os.environ if settings is None else settings
        ports = {name: int(settings.get(_variable(name), 0)) or free_port() for name in PORTS}
        secret = settings.get("VISAVIS_LOCAL_SECRET") or secrets.token_hex(24)
        stack = cls(folder, ports, settings, secret)
        stack.check()
        return stack

    def check(self) -> None:
        """Refuse what cannot work, in a sentence that says why."""
        livekit = [f"VISAVIS_LIVEKIT_{name}" for name in ("URL", "API_KEY", "API_SECRET")]
        missing = [name for name in livekit if not self.settings.get(name)]
        if 0 < len(missing) < len(livekit):
            raise StackError(f"A LiveKit server of your own needs also: {', '.join(missing)}.")
        if self.outside_avatar and not self.settings.get("VISAVIS_LIVEKIT_VENDOR_URL"):
            raise StackError(
                "SPATIUS_API_KEY is set, but the avatar's servers cannot reach a LiveKit server on "
                "this machine's loopback address: set VISAVIS_LIVEKIT_URL, _PUBLIC_URL, "
                "_VENDOR_URL, _API_KEY and _API_SECRET of one that they can, or unset the key."
            )

    def exported(self) -> dict[str, str]:
        """The choices as environment variables, for processes of this run."""
        ports = {_variable(name): str(port) for name, port in self.ports.items()}
        return ports | {
            "VISAVIS_LOCAL_FOLDER": str(self.folder),
            "VISAVIS_LOCAL_SECRET": self.secret,
        }

    @property
    def outside_avatar(self) -> bool:
        """A real avatar instead of motion_sim."""
        return bool(self.settings.get(OUTSIDE_AVATAR))

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the long-lived ones, servers first; those that stand outside are left out."""
        given = {
            "livekit": self.settings.get(OUTSIDE_LIVEKIT),
            "model-server": self.settings.get(OUTSIDE_LLM),
            "motion-sim": self.outside_avatar,
        }
        servers = ("nats", "livekit", "model-server", "motion-sim")
        return (*(name for name in servers if not given.get(name)), *SERVICES)

    @property
    def nats_url(self) -> str:
        """The bus."""
        return f"nats://127.0.0.1:{self.ports['nats']}"

    @property
    def grpc_target(self) -> str:
        """The public API, host:port."""
        return f"127.0.0.1:{self.ports['token-grpc']}"

    @property
    def page_url(self) -> str:
        """The page to talk to; POST {page_url}/token is LiveKit's standard token endpoint."""
        return f"http://127.0.0.1:{self.ports['token-http']}"

    @property
    def model_server_url(self) -> str:
        """The embedded model server; /metrics has visavis_model_chat_requests_total."""
        return f"http://127.0.0.1:{self.ports['model-server']}"

    @property
    def motion_sim_url(self) -> str:
        """motion_sim's HTTP side (/sim/faults, /sim/stats)."""
        return f"http://127.0.0.1:{self.ports['motion-sim']}"

    @property
    def provisioned(self) -> Path:
        """Exists once streams and consumers are in place."""
        return self.folder / "provisioned"

    @property
    def verdict(self) -> Path:
        """Where the conversation leaves its exit status before it goes on serving."""
        return self.folder / "verdict"

    def process(
        self, name: str, replica: int = 0, environ: Mapping[str, str] | None = None
    ) -> ServerProcess:
        """The process `name`, not started. A second replica has a health port of its own."""
        if name == "nats":
            return nats_process(self.ports["nats"], self.ports["nats-monitoring"], self.folder)
        if name == "livekit":
            ports = self.ports["livekit"], self.ports["livekit-udp"]
            return livekit_process(
                livekit_server(), ports, (LIVEKIT_API_KEY, self.secret), self.folder
            )
        port = free_port() if replica else self.ports[name]
        path = "health" if name == "model-server" else "readyz"
        return ServerProcess(
            name=f"{name}-{replica}" if replica else name,
            command=[sys.executable, "-m", f"visavis_{name.replace('-', '_')}"],
            log=self.folder / f"{name}-{replica}.log",
            ready_url=f"http://127.0.0.1:{port}/{path}",
            environ={**self.environ(name), **_own_port(name, port), **(environ or {})},
        )

    def provision(self) -> tuple[list[str], dict[str, str]]:
        """Command and environment of the step that creates streams and consumers."""
        program = ROOT / "deploy" / "nats" / "provision.py"
        return [sys.executable, str(program)], {"VISAVIS_NATS_URL": self.nats_url}

    def environ(self, name: str) -> dict[str, str]:
        """What the process `name` is told; what the person has set wins."""
        chosen = {"PYTHONUNBUFFERED": "1", "VISAVIS_NATS_URL": self.nats_url}
        chosen |= _environments(self).get(name, {})
        chosen = {key: self.settings.get(key) or value for key, value in chosen.items()}
        return chosen | _avatar(self) if name == "egress" else chosen


def _own_port(name: str, port: int) -> dict[str, str]:
    if name in SERVICES:
        return {"VISAVIS_HEALTH_PORT": str(port)}
    return {f"VISAVIS_{name.replace('-', '_').upper()}_PORT": str(port)}


def _environments(stack: LocalStack) -> dict[str, dict[str, str]]:
    """What each process needs beside the bus."""
    livekit_url = f"ws://127.0.0.1:{stack.ports['livekit']}"
    livekit = {
        "VISAVIS_LIVEKIT_URL": livekit_url,
        "VISAVIS_LIVEKIT_PUBLIC_URL": livekit_url,
        "VISAVIS_LIVEKIT_VENDOR_URL": livekit_url,
        "VISAVIS_LIVEKIT_API_KEY": LIVEKIT_API_KEY,
        "VISAVIS_LIVEKIT_API_SECRET": stack.secret,
        "VISAVIS_CHARACTERS": str(ROOT / "deploy" / "characters"),
    }
    return {
        "motion-sim": {
            "VISAVIS_MOTION_SIM_API_KEY": stack.secret,
            "VISAVIS_MOTION_SIM_APP_ID": SIM_APP,
            "VISAVIS_MOTION_SIM_AVATAR_IDS": SIM_AVATAR,
        },
        "token": livekit
        | {
            "VISAVIS_GRPC_PORT": str(stack.ports["token-grpc"]),
            "VISAVIS_API_KEYS": f"{API_KEY_ID}:{stack.secret}",
            "VISAVIS_HTTP_PORT": str(stack.ports["token-http"]),
            "VISAVIS_PUBLIC_DEMO": "1",
            "VISAVIS_DEFAULT_CHARACTER": "nova",
        },
        "asr": {"VISAVIS_ASR_ENGINE": "whisper"},
        "llm": {
            "VISAVIS_LLM_BASE_URL": f"{stack.model_server_url}/v1",
            "VISAVIS_LLM_MODEL": MODEL,
            "VISAVIS_LLM_API_KEY": "none",
            # Of a server that we do not know, nothing is assumed.
            "VISAVIS_LLM_CONTINUE": "none" if stack.settings.get(OUTSIDE_LLM) else "llamacpp",
        },
        "tts": {"VISAVIS_TTS_ENGINE": "hibari"},
        "egress": livekit | {"VISAVIS_AVATAR": "spatius"},
        "talk": _talk(stack),
    }


def _avatar(stack: LocalStack) -> dict[str, str]:
    """The person's account or motion_sim's, never a mixture."""
    if stack.outside_avatar:
        names = ("API_KEY", "APP_ID", "AVATAR_ID", "REGION", "CONSOLE_ENDPOINT", "INGRESS_ENDPOINT")
        given = {f"SPATIUS_{name}": stack.settings.get(f"SPATIUS_{name}", "") for name in names}
        return {name: value for name, value in given.items() if value}
    return {
        "SPATIUS_API_KEY": stack.secret,
        "SPATIUS_APP_ID": SIM_APP,
        "SPATIUS_AVATAR_ID": SIM_AVATAR,
        "SPATIUS_CONSOLE_ENDPOINT": f"{stack.motion_sim_url}/v1/console",
        "SPATIUS_INGRESS_ENDPOINT": f"ws://127.0.0.1:{stack.ports['motion-sim']}/v2/driveningress",
    }


def _talk(stack: LocalStack) -> dict[str, str]:
    """For the program that holds the conversation; it also has `LocalStack.create` for the rest."""
    return {
        "VISAVIS_TALK_GRPC_TARGET": stack.grpc_target,
        "VISAVIS_TALK_API_KEY": f"{API_KEY_ID}:{stack.secret}",
        "VISAVIS_TALK_VERDICT": str(stack.verdict),
    }
