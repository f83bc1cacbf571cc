"""What the bus brings a session: results and speech, live, looked up or repaired."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress import records
from visavis_egress.conversation import events as on
from visavis_egress.waste import Waste
from visavis_runtime import log, subjects
from visavis_runtime.bus import Bus, Message, Subscription

logger = log.get(__name__)


class Inbox:
    """Turns messages of one session into events. What is not for this holder is dropped here."""

    def __init__(
        self,
        bus: Bus,
        session_id: str,
        generation: int,
        feed: Callable[[on.Event], None],
        waste: Waste,
    ) -> None:
        self._bus, self._id, self._generation, self._feed = bus, session_id, generation, feed
        self._waste = waste

    async def subscribe(self) -> list[Subscription]:
        """Begin to listen. A delivery is a hint at speed; `look_up` is what can be relied on."""
        return [
            await self._bus.subscribe(subjects.result("*", self._id), self._on_message),
            await self._bus.subscribe(subjects.speech(self._id), self._on_message),
            await self._bus.subscribe(subjects.partial_transcript(self._id), self._on_message),
        ]

    async def look_up(self) -> None:
        """Read the newest results: their delivery may have been missed. Raises BusUnavailable."""
        for stage in ("asr", "llm"):
            last = await self._bus.last(subjects.RESULTS, subjects.result(stage, self._id))
            if last:
                self._on_message(Message(last.subject, last.data))

    async def repair_speech(self) -> None:
        """Read the session's speech from the stream again. Raises BusUnavailable."""
        async for stored in self._bus.replay(subjects.SPEECH, subjects.speech(self._id)):
            self._on_message(Message(stored.subject, stored.data))

    def _on_message(self, message: Message) -> None:
        try:
            events = self._events(message)
        except DecodeError:
            logger.warning("session.malformed", session=self._id, subject=message.subject)
            return
        for event in events:
            self._feed(event)

    def _events(self, message: Message) -> list[on.Event]:
        """What a message tells; how long its engine took goes to the account."""
        kind, stage = message.subject.split(".")[1:3]
        if kind == "speech":
            piece = pb.Speech.FromString(message.data)
            if piece.HasField("end"):
                self._waste.spoken(piece.address.epoch, piece.sentence, _seconds(piece.end.took))
            return [records.speech(piece)]
        if kind == "partial":
            part = pb.PartialTranscript.FromString(message.data)
            return [records.heard_part(part)] if self._is_ours(part.address) else []
        if stage == "llm":
            generated = pb.GenerateResult.FromString(message.data)
            self._waste.generated(generated.address.epoch, _seconds(generated.took))
            return records.generated_result(generated)
        if stage == "tts":
            return [records.spoken_result(pb.SynthesizeResult.FromString(message.data))]
        heard = pb.TranscribeResult.FromString(message.data)
        if not self._is_ours(heard.address):
            return []
        self._waste.recognised(heard.revision, _seconds(heard.took))
        return [records.heard_result(heard)]

    def _is_ours(self, address: pb.Address) -> bool:
        """Revisions are matched by the holder; epochs contain it."""
        return address.generation == self._generation


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()
