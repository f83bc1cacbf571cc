"""The two records of a session in the store, and every change that this service makes to them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeAlias

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime import subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import WrongRevision
from visavis_token import grpc_errors

State: TypeAlias = "api.SessionState.ValueType"

TAKES_NO_CALLS = (
    api.SESSION_STATE_ENDING,
    api.SESSION_STATE_ENDED,
    api.SESSION_STATE_REJECTED,
)
STAYS_OVER = (api.SESSION_STATE_ENDING, api.SESSION_STATE_ENDED)
"""Not even a repeated creation opens it; one that was rejected it does."""
TELLS_NO_MORE = (api.SESSION_STATE_ENDED, api.SESSION_STATE_REJECTED)
"""Every event of it is stored."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is known of a session. A missing status means that its creation is under way."""

    spec: pipeline.SessionSpec
    status: pipeline.SessionStatus

    def view(self) -> api.Session:
        """The session as the API shows it."""
        spec = self.spec
        state, reason = self._state()
        session = api.Session(
            session_id=spec.session_id,
            state=state,
            character=spec.character,
            room=spec.session_id,
            participant_identity=spec.participant_identity,
            avatar=self.status.avatar,
            metadata=spec.metadata,
            end_reason=reason,
        )
        session.create_time.FromMilliseconds(spec.create_time_unix_ms)
        life_ms = spec.resolved.max_duration.ToMilliseconds()
        session.expire_time.FromMilliseconds(spec.create_time_unix_ms + life_ms)
        return session

    def _state(self) -> tuple[State, api.EndReason.ValueType]:
        state = self.status.state
        if state == api.SESSION_STATE_ENDED:
            return state, self.status.end_reason
        if not self.spec.end_requested:
            return state, api.END_REASON_UNSPECIFIED
        # Ended before any worker took it: REJECTED is how the workers are told.
        if state == api.SESSION_STATE_REJECTED:
            return api.SESSION_STATE_ENDED, self.spec.end_reason
        return api.SESSION_STATE_ENDING, api.END_REASON_UNSPECIFIED


class RecordStore:
    """Reads and changes records by compare-and-set. All methods may raise BusUnavailable."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, session_id: str) -> Records:
        """Both records. Raises ApiError NOT_FOUND."""
        spec, _ = await self._spec(session_id)
        status, _ = await self.status(session_id)
        return Records(spec, status)

    async def claim(self, spec: pipeline.SessionSpec) -> pipeline.SessionSpec:
        """Write the spec, or return the one that is there. Raises ApiError ALREADY_EXISTS."""
        try:
            await self._bus.create(_spec_key(spec.session_id), spec.SerializeToString())
        except WrongRevision:
            # Another replica, an earlier call, or our own write whose confirmation got lost.
            return (await self._spec(spec.session_id))[0]
        return spec

    async def status(self, session_id: str) -> tuple[pipeline.SessionStatus, int]:
        """The status and its revision; CREATING and 0 while there is none."""
        entry = await self._bus.read(_status_key(session_id))
        if entry is None:
            return pipeline.SessionStatus(state=api.SESSION_STATE_CREATING), 0
        return pipeline.SessionStatus.FromString(entry.value), entry.revision

    async def move(
        self, session_id: str, sources: tuple[State, ...], to: State
    ) -> pipeline.SessionStatus:
        """Change the state if it is one of `sources`; returns the status as it stands then."""
        while True:
            status, revision = await self.status(session_id)
            if revision and status.state not in sources:
                return status
            moved = pipeline.SessionStatus(state=to)
            try:
                key = _status_key(session_id)
                await self._bus.update(key, moved.SerializeToString(), revision)
            except WrongRevision:
                continue
            return moved

    async def request_end(self, session_id: str, reason: api.EndReason.ValueType) -> None:
        """Write the desired end, repeated until it stands. Raises ApiError NOT_FOUND."""

        def end(spec: pipeline.SessionSpec) -> None:
            if not spec.end_requested:
                spec.end_requested, spec.end_reason = True, reason

        await self.change(session_id, end)

    async def change(
        self, session_id: str, change: Callable[[pipeline.SessionSpec], None]
    ) -> pipeline.SessionSpec:
        """Apply `change` to the spec until it stands; the spec then. Raises ApiError NOT_FOUND."""
        while True:
            spec, revision = await self._spec(session_id)
            before = spec.SerializeToString(deterministic=True)
            change(spec)
            if spec.SerializeToString(deterministic=True) == before:
                return spec
            try:
                await self._bus.update(_spec_key(session_id), spec.SerializeToString(), revision)
            except WrongRevision:
                continue
            return spec

    async def specs(self, after: int) -> AsyncIterator[tuple[int, pipeline.SessionSpec]]:
        """All specs that were changed after a place in the store, oldest change first, each with
        its place."""
        everyone = f"{subjects.SESSIONS}{_spec_key('*')}"
        async for stored in self._bus.replay(subjects.SESSIONS_STREAM, everyone, after + 1):
            yield stored.sequence, pipeline.SessionSpec.FromString(stored.data)

    async def _spec(self, session_id: str) -> tuple[pipeline.SessionSpec, int]:
        entry = await self._bus.read(_spec_key(session_id))
        if entry is None:
            raise grpc_errors.session_unknown(session_id)
        return pipeline.SessionSpec.FromString(entry.value), entry.revision


def _spec_key(session_id: str) -> str:
    return f"{session_id}.spec"


def _status_key(session_id: str) -> str:
    return f"{session_id}.status"
