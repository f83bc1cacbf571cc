"""What a session publishes: work for the stages, and cancels."""

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress.conversation import commands as do
from visavis_runtime import subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import BusUnavailable


class Works:
    """The outgoing side of one held session."""

    def __init__(
        self, bus: Bus, session_id: str, generation: int, character: pb.ResolvedCharacter
    ) -> None:
        self._bus, self._id, self._generation = bus, session_id, generation
        self._character = character

    async def transcribe(self, command: do.Transcribe) -> None:
        """Ask for the text of a snapshot. Raises TooLarge, BusUnavailable; no partial one does."""
        work = pb.TranscribeWork(
            address=self._address(command.turn),
            revision=command.revision,
            pcm=command.pcm,
            sample_rate_hz=subjects.ASR_RATE_HZ,
            language=self._character.language,
            partial=command.partial,
        )
        if command.partial:
            # Worthless a second later: neither tried again nor confirmed.
            await self._bus.publish(subjects.work("asr", self._id), work.SerializeToString())
            return
        message_id = subjects.asr_id(self._id, self._generation, command.turn, command.revision)
        await self._store("asr", work.SerializeToString(), message_id)

    async def generate(self, command: do.Generate) -> None:
        """Ask for an answer. Raises TooLarge, BusUnavailable."""
        messages = [pb.ChatMessage(role=role, content=text) for role, text in command.messages]
        work = pb.GenerateWork(
            address=self._address(command.turn, command.epoch),
            messages=messages,
            prefix=command.prefix,
            temperature=self._character.temperature,
            max_output_tokens=self._character.max_output_tokens,
            voice=command.voice,
            language=self._character.language,
            verbatim=command.verbatim,
            speculative=command.speculative,
        )
        message_id = subjects.llm_id(self._id, command.epoch)
        await self._store("llm", work.SerializeToString(), message_id)

    async def synthesize(self, command: do.Synthesize) -> None:
        """Ask for the sound of a sentence. Raises BusUnavailable."""
        work = pb.SynthesizeWork(
            address=self._address(command.turn, command.epoch),
            sentence=command.sentence,
            attempt=command.attempt,
            text=command.text,
            voice=command.voice,
            language=self._character.language,
        )
        message_id = subjects.tts_id(self._id, command.epoch, command.sentence, command.attempt)
        await self._store("tts", work.SerializeToString(), message_id)

    async def cancel(self, command: do.Cancel) -> None:
        """Void lower epochs; a cancel that gets lost costs work, not correctness."""
        cancel = pb.Cancel(session_id=self._id, epoch=command.epoch)
        await self._bus.publish(subjects.cancel(self._id), cancel.SerializeToString())

    async def turn_of(self, request_id: str) -> int:
        """The turn that an earlier call with this id committed. Raises BusUnavailable."""
        subject = subjects.event("turn", self._id)
        async for stored in self._bus.replay(subjects.EVENTS, subject):
            turn = pb.EventRecord.FromString(stored.data).event.turn
            if turn.request_id == request_id:
                return turn.turn
        raise BusUnavailable("the turn of a repeated request is not in the stream yet")

    def _address(self, turn: int, epoch: int = 0) -> pb.Address:
        return pb.Address(session_id=self._id, generation=self._generation, turn=turn, epoch=epoch)

    async def _store(self, stage: str, data: bytes, message_id: str) -> None:
        await self._bus.store(subjects.work(stage, self._id), data, message_id=message_id)
