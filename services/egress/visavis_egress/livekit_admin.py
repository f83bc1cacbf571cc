"""Rooms and tokens by LiveKit's server API; the only file of egress that imports livekit.api."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import aiohttp
from livekit import api

from visavis_egress.errors import RoomUnavailable
from visavis_egress.room import agent_identity

# Longer than our own ends (never joined 120 s, person gone 60 s): LiveKit never closes first.
_EMPTY_TIMEOUT_S = 300
_DEPARTURE_TIMEOUT_S = 120
_TOKEN_TTL = timedelta(hours=1)
_ON_BEHALF = "lk.publish_on_behalf"
_MADE = {"ai_generated": "true"}
"""Who speaks is not a person, and says so to every program in the room."""

T = TypeVar("T")


class LiveKitAdmin:
    """See `visavis_egress.room.RoomAdmin`."""

    def __init__(self, url: str, api_key: str, api_secret: str) -> None:
        self._url, self._key, self._secret = url, api_key, api_secret
        self._client: api.LiveKitAPI | None = None

    @property
    def _rooms(self) -> api.room_service.RoomService:
        if self._client is None:  # needs a running event loop
            self._client = api.LiveKitAPI(self._url, self._key, self._secret)
        return self._client.room

    async def create(self, session_id: str) -> str:
        ask = api.CreateRoomRequest(
            name=session_id,
            empty_timeout=_EMPTY_TIMEOUT_S,
            departure_timeout=_DEPARTURE_TIMEOUT_S,
        )
        return (await _answer(self._rooms.create_room(ask))).sid

    async def delete(self, session_id: str) -> None:
        await _gone_is_fine(self._rooms.delete_room(api.DeleteRoomRequest(room=session_id)))

    async def evict_avatars(self, session_id: str, *, keep: str) -> None:
        ask = api.ListParticipantsRequest(room=session_id)
        found = await _answer(self._rooms.list_participants(ask))
        for participant in found.participants:
            speaks_for = participant.attributes.get(_ON_BEHALF)
            if speaks_for == agent_identity(session_id) and participant.identity != keep:
                remove = api.RoomParticipantIdentity(room=session_id, identity=participant.identity)
                await _gone_is_fine(self._rooms.remove_participant(remove))

    def agent_token(self, session_id: str) -> str:
        grants = api.VideoGrants(
            room_join=True,
            room=session_id,
            can_publish=True,
            can_publish_sources=["microphone"],
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=True,
        )
        identity = agent_identity(session_id)
        return self._token(identity).with_attributes(_MADE).with_grants(grants).to_jwt()

    def avatar_token(self, session_id: str, identity: str) -> str:
        grants = api.VideoGrants(
            room_join=True,
            room=session_id,
            can_publish=True,
            can_publish_sources=["camera", "microphone"],
            can_subscribe=False,
            can_publish_data=True,
            can_update_own_metadata=False,
        )
        attributes = {_ON_BEHALF: agent_identity(session_id), **_MADE}
        return self._token(identity).with_attributes(attributes).with_grants(grants).to_jwt()

    def _token(self, identity: str) -> api.AccessToken:
        token = api.AccessToken(self._key, self._secret).with_kind("agent")
        return token.with_identity(identity).with_name(identity).with_ttl(_TOKEN_TTL)

    async def aclose(self) -> None:
        if self._client:
            await self._client.aclose()


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except api.TwirpError as error:
        raise RoomUnavailable(f"LiveKit refused: {error.code} {error.message}") from error
    except (TimeoutError, aiohttp.ClientError) as error:
        raise RoomUnavailable(f"LiveKit did not answer: {error!r}") from error


async def _gone_is_fine(call: Awaitable[object]) -> None:
    try:
        await _answer(call)
    except RoomUnavailable as error:
        cause = error.__cause__
        if not (isinstance(cause, api.TwirpError) and cause.code == "not_found"):
            raise
