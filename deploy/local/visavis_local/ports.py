"""Free ports on loopback."""

import random
import socket
from itertools import count

# Below the range from which systems take ports for outgoing connections (Linux: from 32768), so
# that nobody is given one of ours between the look and the start of the server.
FIRST, LAST = 20_000, 32_000
_random = random.SystemRandom()


def free_port() -> int:
    """A port that is free on 127.0.0.1 for TCP and UDP at this moment."""
    for attempt in count():
        port = _random.randrange(FIRST, LAST)
        if _is_free(port, socket.SOCK_STREAM) and _is_free(port, socket.SOCK_DGRAM):
            return port
        if attempt > 1000:
            break
    raise OSError(f"no free port between {FIRST} and {LAST} on 127.0.0.1")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
