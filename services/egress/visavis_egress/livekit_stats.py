"""What LiveKit's SDK (1.2.1) counts of a received track."""

import asyncio
from typing import Any, Protocol

from visavis_egress.errors import RoomUnavailable
from visavis_egress.microphone_watch import Reception

_ANSWER_S = 1.0


class Track(Protocol):
    """`rtc.RemoteAudioTrack`."""

    async def get_stats(self) -> list[Any]:
        """Counters of the connection, `inbound_rtp` among them."""


class Publication(Protocol):
    """`rtc.RemoteTrackPublication`."""

    @property
    def muted(self) -> bool: ...


async def reception(track: Track, publication: Publication) -> Reception | None:
    """What came of a track so far; None while it is muted. Raises RoomUnavailable."""
    if publication.muted:
        return None
    try:
        async with asyncio.timeout(_ANSWER_S):
            stats = await track.get_stats()
    except Exception as error:  # the SDK raises nothing narrower
        raise RoomUnavailable(f"no statistics: {error!r}") from error
    for one in stats:
        if one.WhichOneof("stats") == "inbound_rtp":
            counted, sound = one.inbound_rtp.received, one.inbound_rtp.inbound
            return Reception(
                packets=counted.packets_received,
                samples=sound.total_samples_received,
                made_up=sound.concealed_samples,
                buffer_s=sound.jitter_buffer_delay / max(1, sound.jitter_buffer_emitted_count),
            )
    raise RoomUnavailable("no statistics of what is received")
