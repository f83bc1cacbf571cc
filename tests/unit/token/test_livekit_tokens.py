"""What a person's room token permits, read back with the library that LiveKit's own tools use."""

from datetime import UTC, datetime, timedelta

from livekit import api

from visavis_token.livekit_tokens import LiveKitTokens

KEY, SECRET = "key", "s" * 32


def test_the_token_permits_speaking_and_listening_in_one_room_and_nothing_else() -> None:
    minted = LiveKitTokens(KEY, SECRET).mint("ROOM", "person-1")
    claims = api.TokenVerifier(KEY, SECRET).verify(minted.text)
    grants = claims.video
    assert grants
    assert (claims.identity, claims.kind, grants.room) == ("person-1", "standard", "ROOM")
    permitted = {name for name, value in vars(grants).items() if value is True}
    assert permitted == {"room_join", "can_publish", "can_subscribe", "can_publish_data"}
    assert grants.can_publish_sources == ["microphone"]
    # Unset is not the same as refused, for a server that has defaults of its own.
    assert grants.can_update_own_metadata is False
    assert grants.hidden is False
    assert grants.agent is False
    assert (claims.metadata, claims.attributes) == ("", {})


def test_the_token_is_good_for_ten_minutes() -> None:
    minted = LiveKitTokens(KEY, SECRET).mint("ROOM", "person-1")
    left = minted.expires - datetime.now(UTC)
    assert timedelta(minutes=9, seconds=55) < left <= timedelta(minutes=10)
