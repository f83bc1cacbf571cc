"""Captions in a LiveKit room: one text stream of topic `lk.transcription` after the other."""

from collections.abc import Callable
from typing import Protocol

_TOPIC, _SEGMENT, _FINAL = "lk.transcription", "lk.segment_id", "lk.transcription_final"


class Writer(Protocol):
    """`rtc.TextStreamWriter`."""

    async def write(self, text: str) -> None:
        """Send some more."""

    async def aclose(self, *, attributes: dict[str, str] | None = None) -> None:
        """End the stream; the attributes replace those of its beginning."""


class Participant(Protocol):
    """`rtc.LocalParticipant`."""

    async def stream_text(
        self, *, topic: str, attributes: dict[str, str], sender_identity: str | None = None
    ) -> Writer:
        """Open a stream, in another participant's name where one is given."""


class Captions:
    """What was said, by segments. `participant`: ours, once the room is joined."""

    def __init__(self, participant: Callable[[], Participant]) -> None:
        self._participant = participant
        self._open: dict[str, Writer] = {}
        self._speakers: dict[str, str] = {}

    async def user(self, segment: str, text: str, person: str, *, final: bool) -> None:
        """The whole text so far; a segment stays with the person who began it."""
        person = self._speakers.pop(segment, person)
        if not final:
            self._speakers[segment] = person
        attributes = {_SEGMENT: segment, _FINAL: "true" if final else "false"}
        writer = await self._participant().stream_text(
            topic=_TOPIC, attributes=attributes, sender_identity=person
        )
        if text:
            await writer.write(text)
        await writer.aclose()

    async def agent(self, segment: str, delta: str, *, final: bool) -> None:
        """Further words of the agent's."""
        # Out of the table while in use: a stream that breaks is not written to again.
        writer = self._open.pop(segment, None)
        if writer is None:
            attributes = {_SEGMENT: segment, _FINAL: "false"}
            writer = await self._participant().stream_text(topic=_TOPIC, attributes=attributes)
        if delta:
            await writer.write(delta)
        if final:
            await writer.aclose(attributes={_FINAL: "true"})
        else:
            self._open[segment] = writer
