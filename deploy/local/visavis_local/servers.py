"""The two servers as processes: command line, environment and readiness, all on loopback."""

from collections.abc import Sequence
from pathlib import Path

from visavis_local.binaries import nats_server
from visavis_local.places import ROOT
from visavis_local.processes import ServerProcess

NATS_CONFIG = ROOT / "deploy" / "nats" / "nats-server.conf"
LIVEKIT_CONFIG = ROOT / "deploy" / "livekit" / "livekit.yaml"


def nats_command(
    port: int, monitoring_port: int, store: Path, *, more: Sequence[str] = ()
) -> list[str]:
    """nats-server on 127.0.0.1 with its streams in `store`; `more`: further arguments."""
    return [
        str(nats_server()),
        *("-c", str(NATS_CONFIG), "-p", str(port), "-m", str(monitoring_port), "-sd", str(store)),
        *more,
    ]


def nats_process(
    port: int, monitoring_port: int, folder: Path, *, more: Sequence[str] = ()
) -> ServerProcess:
    """nats-server with store and log in `folder`; ready when JetStream has a leader."""
    folder.mkdir(parents=True, exist_ok=True)
    return ServerProcess(
        name="nats",
        command=nats_command(port, monitoring_port, folder / "store", more=more),
        log=folder / "nats-server.log",
        ready_url=f"http://127.0.0.1:{monitoring_port}/healthz",
    )


def livekit_command(program: Path) -> list[str]:
    """livekit-server; everything else is in its environment."""
    return [str(program), "--config", str(LIVEKIT_CONFIG)]


def livekit_environ(port: int, udp_port: int, api_key: str, api_secret: str) -> dict[str, str]:
    """What livekit.yaml leaves open. The key file's format needs the space after the colon."""
    return {
        "LIVEKIT_PORT": str(port),
        "UDP_PORT": str(udp_port),
        "LIVEKIT_KEYS": f"{api_key}: {api_secret}",
    }


def livekit_process(
    program: Path, ports: tuple[int, int], keys: tuple[str, str], folder: Path
) -> ServerProcess:
    """livekit-server on (signalling TCP, media UDP) with (API key, secret), its log in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return ServerProcess(
        name="livekit",
        command=livekit_command(program),
        log=folder / "livekit-server.log",
        ready_url=f"http://127.0.0.1:{ports[0]}/",
        environ=livekit_environ(*ports, *keys),
        # It drains until the last participant has left, however long that is.
        stop_timeout_s=0.5,
    )
