"""The steps of creating, showing and ending a session. Each can be repeated by any replica."""

import asyncio
import hashlib
import time
from collections.abc import Iterable

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import SubjectTaken
from visavis_token import grpc_errors, ids, validation
from visavis_token.characters import Character, resolve
from visavis_token.holder import Holder
from visavis_token.records import TAKES_NO_CALLS, Records, RecordStore

SLOT_WAIT_S = 1.0
"""How long a worker has to take the session: it does so before the avatar is seated."""
RETRY_S = 2.0
_LOOKS_S = (0.025,) * 8 + (0.05,) * 40

_CREATING = api.SESSION_STATE_CREATING
_REJECTED = api.SESSION_STATE_REJECTED


class Sessions:
    """Opens and ends sessions over the bus; holds nothing of them."""

    def __init__(self, bus: Bus, characters: dict[str, Character], holder: Holder) -> None:
        self._bus, self._characters, self._holder = bus, characters, holder
        self._records = RecordStore(bus)

    async def create(self, request: api.CreateSessionRequest, key_id: str) -> api.Session:
        """Open a session, or come back to the one of the same request id.

        Raises ApiError: INVALID_ARGUMENT, ALREADY_EXISTS, RESOURCE_EXHAUSTED.
        """
        wanted = self._spec(request, key_id)
        validation.check_merged(wanted.resolved)
        spec = await self._records.claim(wanted)
        if spec.request_hash != wanted.request_hash:
            raise grpc_errors.request_id_taken(request.request_id)
        status = await self._open(spec)
        if status.state == _REJECTED and not spec.end_requested:
            raise grpc_errors.no_slot(RETRY_S)
        return Records(spec, status).view()

    async def get(self, session_id: str) -> api.Session:
        """Raises ApiError NOT_FOUND."""
        return (await self._records.read(session_id)).view()

    async def end(
        self, session_id: str, reason: api.EndReason.ValueType = api.END_REASON_API
    ) -> api.Session:
        """Ask for the end; harmless when it was asked for or has come.

        Raises ApiError NOT_FOUND.
        """
        found = await self._records.read(session_id)
        if found.status.state == api.SESSION_STATE_ENDED:
            return found.view()
        await self._records.request_end(session_id, reason)
        status = await self._records.move(session_id, (_CREATING,), _REJECTED)
        if status.state in (api.SESSION_STATE_ACTIVE, api.SESSION_STATE_ENDING):
            call = pipeline.ControlRequest(end=pipeline.EndCall())
            await self._holder.hurry(session_id, call)
        return await self.get(session_id)

    async def live(self, session_id: str) -> api.Session:
        """Raises ApiError: NOT_FOUND, FAILED_PRECONDITION when it is over."""
        session = await self.get(session_id)
        if session.state in TAKES_NO_CALLS:
            raise grpc_errors.session_over(session_id)
        return session

    async def update(
        self, session_id: str, changes: api.SessionChanges, paths: Iterable[str]
    ) -> api.Session:
        """Change it from its next turn on. Raises ApiError: NOT_FOUND, FAILED_PRECONDITION."""
        await self.live(session_id)

        def change(spec: pipeline.SessionSpec) -> None:
            for path in paths:
                if path == "turn_taking":
                    spec.resolved.turn_taking.CopyFrom(changes.turn_taking)
                    self._choose_profile(spec)
                elif path == "participant_identity":
                    spec.participant_identity = _person(session_id, changes.participant_identity)
                else:
                    setattr(spec.resolved, path, getattr(changes, path))

        await self._records.change(session_id, change)
        # After this call it holds for whatever is said next; else from the holder's next look on.
        call = pipeline.ControlRequest(update=pipeline.UpdateCall())
        await self._holder.hurry(session_id, call)
        return await self.get(session_id)

    async def turn_taking(self, session_id: str) -> api.TurnTaking:
        """How the session takes turns now. Raises ApiError NOT_FOUND."""
        return (await self._records.read(session_id)).spec.resolved.turn_taking

    def _choose_profile(self, spec: pipeline.SessionSpec) -> None:
        """The character's, where none was named; its other numbers are not taken over."""
        turn_taking = spec.resolved.turn_taking
        character = self._characters.get(spec.character)
        if character and turn_taking.profile == api.TurnTaking.PROFILE_UNSPECIFIED:
            turn_taking.profile = character.turn_taking.message().profile

    def _spec(self, request: api.CreateSessionRequest, key_id: str) -> pipeline.SessionSpec:
        given = request.request_id
        session_id = ids.session_id(key_id, given) if given else ids.new_ulid()
        content = request.SerializeToString(deterministic=True)
        return pipeline.SessionSpec(
            session_id=session_id,
            request_hash=hashlib.sha256(content).digest(),
            key_id=key_id,
            character=request.character,
            participant_identity=_person(session_id, request.participant_identity),
            resolved=resolve(self._characters[request.character], request.overrides),
            metadata=request.metadata,
            create_time_unix_ms=time.time_ns() // 1_000_000,
        )

    async def _open(self, spec: pipeline.SessionSpec) -> pipeline.SessionStatus:
        """Offer the session to the workers if nobody has it; returns where that led."""
        session_id = spec.session_id
        # A session that somebody ended stays ended, whoever repeats its creation.
        sources = () if spec.end_requested else (_REJECTED,)
        status = await self._records.move(session_id, sources, _CREATING)
        if status.state != _CREATING:
            return status
        return await self._await_holder(session_id)

    async def _await_holder(self, session_id: str) -> pipeline.SessionStatus:
        deadline = time.monotonic() + SLOT_WAIT_S
        offered = False
        for pause_s in _LOOKS_S:
            status, _ = await self._records.status(session_id)
            if status.state != _CREATING:
                return status
            # A job of an earlier call may be there still, about to be acked as rejected: that one
            # counts for nothing, so ours is offered until it is in.
            offered = offered or await self._offer(session_id)
            if time.monotonic() + pause_s > deadline:
                break
            await asyncio.sleep(pause_s)
        return await self._records.move(session_id, (_CREATING,), _REJECTED)

    async def _offer(self, session_id: str) -> bool:
        """Publish the job; False if the session has one already."""
        job = pipeline.EgressJob(session_id=session_id).SerializeToString()
        try:
            # Without a message id: the subject is the lock, and a job may be offered anew.
            await self._bus.store(subjects.job(session_id), job)
        except SubjectTaken:
            return False
        return True


def _person(session_id: str, wanted: str) -> str:
    return wanted or f"person-{session_id}"
