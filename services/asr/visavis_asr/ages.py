"""How old an item is, although two machines' clocks are never compared; pure."""

import time
from collections.abc import Callable

_FORGET = 0.01
"""So much of the difference is taken over with each item: the server's clock may be set."""


class Ages:
    """An item is as old as it is behind the freshest seen so far; the first one counts as new."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._least: float | None = None

    def of(self, time_s: float) -> float:
        """Seconds since an item with this JetStream time was stored, or a little less."""
        lag = self._clock() - time_s
        least = lag if self._least is None else self._least
        self._least = min(lag, least + _FORGET * (lag - least))
        return lag - self._least
