"""The users of the bus: a server that knows them, and processes that are them."""

from dataclasses import replace

from visavis_local.places import ROOT
from visavis_local.processes import ServerProcess
from visavis_local.stack import SERVICES

SECURED_CONFIG = ROOT / "deploy" / "nats" / "secured.conf"
USERS = ("provision", *SERVICES)


def password(user: str) -> str:
    """Of a test's server, which lives for the test and listens on loopback."""
    return f"pw-{user}"


def passwords() -> dict[str, str]:
    """What nats-server needs beside secured.conf."""
    return {f"VISAVIS_NATS_PASSWORD_{user.upper()}": password(user) for user in USERS}


def account(user: str) -> dict[str, str]:
    """What a process is told in order to be this user."""
    return {"VISAVIS_NATS_USER": user, "VISAVIS_NATS_PASSWORD": password(user)}


def with_user(process: ServerProcess, name: str) -> ServerProcess:
    """The same process on a bus with users; `name` without the number of a replica."""
    if name == "nats":
        # The last of two -c holds.
        command = [*process.command, "-c", str(SECURED_CONFIG)]
        return replace(process, command=command, environ={**process.environ, **passwords()})
    more = account(name) if name in SERVICES else {}
    return replace(process, environ={**process.environ, **more})
