"""Room tokens as LiveKit wants them; the only file that imports livekit."""

from datetime import UTC, datetime, timedelta

from livekit import api

from visavis_token.ports import RoomToken

TTL = timedelta(minutes=10)
"""For the first join; LiveKit hands a connected person fresh ones."""


class LiveKitTokens:
    """See `visavis_token.ports.RoomTokens`."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self._key, self._secret = api_key, api_secret

    def mint(self, room: str, identity: str, *, name: str = "", metadata: str = "") -> RoomToken:
        # Everything is stated: the library's defaults allow publishing of any kind.
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_subscribe=True,
            can_publish=True,
            can_publish_sources=["microphone"],
            can_publish_data=True,
            can_update_own_metadata=False,
            room_create=False,
            room_list=False,
            room_admin=False,
            room_record=False,
            ingress_admin=False,
            hidden=False,
            recorder=False,
            agent=False,
            can_manage_agent_session=False,
            can_subscribe_metrics=False,
        )
        token = api.AccessToken(self._key, self._secret).with_identity(identity)
        token = token.with_kind("standard").with_ttl(TTL).with_grants(grants)
        token = token.with_name(name).with_metadata(metadata)
        expires = datetime.now(UTC) + TTL
        return RoomToken(token.to_jwt(), expires)
