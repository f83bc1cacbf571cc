"""Which session a client's room and identity stand for: one at a time, the next after its end."""

from visavis.session.v1 import session_pb2 as api
from visavis_runtime.bus import Bus
from visavis_runtime.errors import WrongRevision
from visavis_token import grpc_errors, ids, turn_taking
from visavis_token.grpc_errors import ApiError
from visavis_token.records import STAYS_OVER
from visavis_token.sessions import Sessions
from visavis_token.token_request import TokenRequest

_TRIES = 5


class Links:
    """A record of its own in the session store holds the request id of the current session.

    Not derived by counting: after a day and two hours sessions are forgotten, and a count that
    began anew would give a new session the id of an old one whose events are still there.
    """

    def __init__(self, bus: Bus, sessions: Sessions) -> None:
        self._bus, self._sessions = bus, sessions

    async def session(self, key_id: str, wanted: TokenRequest) -> api.Session:
        """The live session of this room and identity, opened where there is none.

        Without both of them it is a fresh one: nobody could say who comes back. Raises ApiError.
        """
        if not (wanted.room and wanted.identity):
            return await self._open(key_id, wanted, "")
        label = f"link\0{wanted.room}\0{wanted.identity}"
        key = f"{ids.session_id(key_id, label)}.link"
        for _ in range(_TRIES):
            entry = await self._bus.read(key)
            request_id = entry.value.decode() if entry else ""
            if not request_id or await self._is_over(ids.session_id(key_id, request_id)):
                request_id = ids.new_ulid()
                try:
                    await self._bus.update(key, request_id.encode(), entry.revision if entry else 0)
                except WrongRevision:  # somebody else has just begun the next one
                    continue
            session = await self._open(key_id, wanted, request_id)
            if session.state not in STAYS_OVER:
                return session
        raise grpc_errors.unavailable("SESSION_ENDING", "the session ends again and again")

    async def profile(self, session_id: str) -> str:
        """The name of the session's turn-taking profile, for its front end."""
        return turn_taking.profile_of(await self._sessions.turn_taking(session_id))

    async def _is_over(self, session_id: str) -> bool:
        try:
            return (await self._sessions.get(session_id)).state in STAYS_OVER
        except ApiError:  # not opened yet: whoever wrote the link does so now, or we do
            return False

    async def _open(self, key_id: str, wanted: TokenRequest, request_id: str) -> api.Session:
        request = api.CreateSessionRequest(
            character=wanted.character,
            request_id=request_id,
            participant_identity=wanted.identity,
            metadata={"room_name": wanted.room} if wanted.room else {},
        )
        try:
            return await self._sessions.create(request, key_id)
        except ApiError as error:
            if error.reason == "REQUEST_ID_TAKEN":
                raise grpc_errors.room_taken(wanted.room) from error
            raise
