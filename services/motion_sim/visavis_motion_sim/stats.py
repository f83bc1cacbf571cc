"""What the stand-in has seen: JSON for tests, Prometheus for people."""

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from prometheus_client import Counter, Gauge

_KEPT_CLOSED = 200

CONNECTIONS = Counter("motion_sim_connections", "Confirmed connections")
REFUSED = Counter("motion_sim_refused", "Connections and tokens refused", ["code"])
CONNECTED_SECONDS = Counter("motion_sim_connected_seconds", "Connected time of closed sessions")
REQUESTS = Counter("motion_sim_requests", "Audio requests with sound in them")
PHANTOMS = Counter("motion_sim_phantom_requests", "Empty requests")
UNDERRUNS = Counter("motion_sim_underruns", "Requests that ran dry before their end")
OPEN = Gauge("motion_sim_open_connections", "Open connections")


@dataclass(slots=True)
class ConnectionStats:
    """One connection. Seconds by the monotonic clock, from confirmation to close."""

    connection_id: str
    avatar_id: str
    room: str = ""
    identity: str = ""
    requests: int = 0
    played: int = 0
    interrupts: int = 0
    interrupts_unknown: int = 0
    phantom_requests: int = 0
    late_audio: int = 0
    underruns: int = 0
    rpcs_sent: int = 0
    rpcs_lost: int = 0
    rpcs_failed: int = 0
    audio_ms: float = 0.0
    close_reason: str = ""
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None

    def connected_s(self) -> float:
        """What the vendor would bill, before rounding."""
        return (self.ended_s or time.monotonic()) - self.began_s

    def as_json(self) -> dict[str, Any]:
        """Without the clock's raw values."""
        row = asdict(self)
        del row["began_s"], row["ended_s"]
        row["connected_s"] = round(self.connected_s(), 3)
        row["open"] = self.ended_s is None
        return row


class Stats:
    """Counters of one process; `connections` keeps the open and the last closed ones."""

    def __init__(self) -> None:
        self._open: dict[str, ConnectionStats] = {}
        self._closed: deque[ConnectionStats] = deque(maxlen=_KEPT_CLOSED)
        self._refusals: dict[str, int] = {}
        self._total = 0
        self.tokens_issued = 0

    @property
    def open_connections(self) -> int:
        """Confirmed and not closed."""
        return len(self._open)

    def opened(self, row: ConnectionStats) -> None:
        """A connection was confirmed."""
        self._total += 1
        self._open[row.connection_id] = row
        CONNECTIONS.inc()
        OPEN.set(len(self._open))

    def closed(self, row: ConnectionStats) -> None:
        """A connection is gone and its room left."""
        row.ended_s = time.monotonic()
        self._open.pop(row.connection_id, None)
        self._closed.append(row)
        CONNECTED_SECONDS.inc(row.connected_s())
        REQUESTS.inc(row.requests)
        PHANTOMS.inc(row.phantom_requests)
        UNDERRUNS.inc(row.underruns)
        OPEN.set(len(self._open))

    def refused(self, code: str) -> None:
        """A token or a connection was refused."""
        self._refusals[code] = self._refusals.get(code, 0) + 1
        REFUSED.labels(code).inc()

    def as_json(self) -> dict[str, Any]:
        """Body of `GET /sim/stats`; open connections first."""
        rows = [*self._open.values(), *self._closed]
        return {
            "tokens_issued": self.tokens_issued,
            "connections_total": self._total,
            "open_connections": len(self._open),
            "open_rooms": sorted(row.room for row in self._open.values() if row.room),
            "requests": sum(row.requests for row in rows),
            "phantom_requests": sum(row.phantom_requests for row in rows),
            "connected_s": round(sum(row.connected_s() for row in rows), 3),
            "refused": self._refusals,
            "connections": [row.as_json() for row in rows],
        }
