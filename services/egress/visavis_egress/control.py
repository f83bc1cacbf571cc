"""The calls of the session API to the holder of a session, and what the API wants of it."""

import asyncio
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress.conversation import events as on
from visavis_egress.turn_taking import turn_taking
from visavis_runtime import subjects
from visavis_runtime.bus import Bus, Message, Subscription
from visavis_runtime.errors import BusError

_COMMIT_S = 15.0
"""For the turn's event to be stored: as long as that is retried."""


class Control:
    """Answers calls. A request id makes one turn, however often and of whichever holder it asks."""

    def __init__(
        self,
        bus: Bus,
        session_id: str,
        feed: Callable[[on.Event], None],
        over: "asyncio.Future[Any]",
        stoppable: Callable[[], int | None],
        bind: Callable[[str], None],
    ) -> None:
        self._bus, self._id, self._feed = bus, session_id, feed
        self._over, self._stoppable, self._bind = over, stoppable, bind
        self._looked_at = 0
        self._turns: dict[str, asyncio.Future[int]] = {}

    async def serve(self) -> Subscription:
        """Begin to answer."""
        return await self._bus.serve(subjects.control(self._id), self._answer)

    def committed(self, request_id: str, turn: int) -> None:
        """The turn of a request id is stored: by us now, or by a holder before us."""
        if request_id:
            known = self._turns.setdefault(request_id, self._future())
            if not known.done():
                known.set_result(turn)

    async def look(self) -> None:
        """Read what the session is to be; calls may get lost. Raises BusUnavailable."""
        entry = await self._bus.read(f"{self._id}.spec")
        if not entry or entry.revision < self._looked_at:
            return  # a replica that lags
        self._looked_at = entry.revision
        spec = pb.SessionSpec.FromString(entry.value)
        self._bind(spec.participant_identity)
        character = spec.resolved
        self._feed(on.PersonaChanged(character.instructions, character.voice))
        if character.HasField("turn_taking"):
            self._feed(on.TurnTakingChanged(turn_taking(character.turn_taking)))
        if spec.end_requested:
            # After the answer to the call that made us look: an end takes its way back.
            end = on.EndRequested(spec.end_reason)
            asyncio.get_running_loop().call_soon(self._feed, end)

    async def _answer(self, message: Message) -> bytes:
        try:
            request = pb.ControlRequest.FromString(message.data)
        except DecodeError:
            return _refused("MALFORMED", "not a ControlRequest").SerializeToString()
        return (await self._carry_out(request)).SerializeToString()

    async def _carry_out(self, request: pb.ControlRequest) -> pb.ControlReply:
        call = request.WhichOneof("call")
        if call == "say":
            said = request.say
            wish = on.SayRequested(said.request_id, said.text, not said.uninterruptible)
            return await self._turn(said, wish)
        if call == "text":
            typed = request.text
            return await self._turn(typed, on.TextTyped(typed.text.strip(), typed.request_id))
        if call == "interrupt":
            return self._interrupt()
        try:
            await self.look()
        except BusError as error:
            return _refused("UNAVAILABLE", str(error))
        return pb.ControlReply()

    async def _turn(self, call: pb.SayCall | pb.TextCall, wish: on.Event) -> pb.ControlReply:
        if not call.request_id or not 0 < len(call.text.strip()) <= subjects.MAX_TEXT_CHARACTERS:
            message = f"a request_id, and a text of 1 to {subjects.MAX_TEXT_CHARACTERS} characters"
            return _refused("INVALID", message)
        committed = self._turns.get(call.request_id)
        if committed is None:
            committed = self._turns[call.request_id] = self._future()
            self._feed(wish)
        waits: set[asyncio.Future[Any]] = {committed, self._over}
        await asyncio.wait(waits, timeout=_COMMIT_S, return_when=asyncio.FIRST_COMPLETED)
        if not committed.done():
            return _refused("UNAVAILABLE", "the turn could not be stored")
        return pb.ControlReply(turn=committed.result())

    def _interrupt(self) -> pb.ControlReply:
        turn = self._stoppable()
        self._feed(on.InterruptRequested())
        if self._over.done():
            return _refused("UNAVAILABLE", "the session is being handed on")
        return pb.ControlReply(turn=turn or 0, interrupted=turn is not None)

    @staticmethod
    def _future() -> "asyncio.Future[int]":
        return asyncio.get_running_loop().create_future()


def _refused(code: str, message: str) -> pb.ControlReply:
    return pb.ControlReply(error=pb.StageError(code=code, message=message))
