"""The adapter of the avatar vendor: what its library says, as what is to be done about it."""

import asyncio
from typing import Any

import pytest
import spatius
from spatius.errors import AvatarSDKErrorCode as Code
from spatius.errors import SessionTokenError

from visavis_egress import spatius_avatar as module
from visavis_egress.errors import AvatarError, AvatarRefused, AvatarTrouble, AvatarUnavailable
from visavis_egress.spatius_avatar import Account, Place, SpatiusAvatar


class Vendor:
    """Stands in for the library's session."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.init_error: Exception | None = None
        self.start_error: Exception | None = None
        self.error: Exception | None = None
        self.sent: list[tuple[bytes, bool]] = []
        self.interrupts = self.closes = 0
        self.close_hangs = asyncio.Event()
        self.close_hangs.set()

    async def init(self) -> None:
        if self.init_error:
            raise self.init_error

    async def start(self) -> str:
        if self.start_error:
            raise self.start_error
        return "cid"

    async def send_audio(self, pcm: bytes, end: bool) -> str:
        if self.error:
            raise self.error
        self.sent.append((pcm, end))
        return "request"

    async def interrupt(self) -> str:
        if self.error:
            raise self.error
        self.interrupts += 1
        return "request"

    async def close(self) -> None:
        self.closes += 1
        await self.close_hangs.wait()
        self.given["on_close"]()


class Adapter:
    """The avatar, the vendor behind it, and what was lost."""

    def __init__(self) -> None:
        self.lost: list[AvatarTrouble] = []
        place = Place("wss://livekit", "jwt", "room", "avatar-room-1", "agent-room")
        account = Account("key", "app", "auto", "http://console", "ws://ingress")
        self.avatar = SpatiusAvatar(account, "face", place, self.lost.append)
        self.vendor: Vendor = self.avatar._session  # type: ignore[assignment]


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Adapter:
    monkeypatch.setattr(spatius, "new_avatar_session", Vendor)
    return Adapter()


def _sdk(code: Code, **more: Any) -> spatius.AvatarSDKError:
    return spatius.AvatarSDKError(code, "as scripted", **more)


async def test_it_names_the_room_and_both_identities(adapter: Adapter) -> None:
    assert await adapter.avatar.start() == "cid"
    given = adapter.vendor.given
    egress = given["livekit_egress"]
    assert (egress.url, egress.api_token) == ("wss://livekit", "jwt")
    assert (egress.room_name, egress.publisher_id) == ("room", "avatar-room-1")
    assert egress.extra_attributes["lk.publish_on_behalf"] == "agent-room"
    assert (given["sample_rate"], given["avatar_id"], given["app_id"]) == (24_000, "face", "app")


REFUSED = (
    _sdk(Code.creditsExhausted, server_code="4001", connection_id="c", req_id="r"),
    _sdk(Code.billingRequired, http_status=402),
    _sdk(Code.avatarNotFound, http_status=404),
    _sdk(Code.appIDUnrecognized),
    _sdk(Code.sessionTokenInvalid),
    _sdk(Code.invalidEgressConfig, http_status=401),
    _sdk(Code.sessionTokenExpired, http_status=401),  # a wrong key, by the library's name
    _sdk(Code.sessionTokenExpired, http_status=403),
    ValueError("Unsupported scheme: ftp"),
)
PASSING = (
    _sdk(Code.connectionFailed),
    _sdk(Code.connectionClosed),
    _sdk(Code.egressUnavailable, server_code="14"),
    _sdk(Code.upstreamError),
    _sdk(Code.sessionTokenExpired),
    _sdk(Code.serverError, http_status=503),
    _sdk(Code.unknown, http_status=429),
    SessionTokenError("no answer", code=Code.connectionFailed),
    ConnectionRefusedError("nobody listens"),
    TimeoutError(),
)


@pytest.mark.parametrize("error", REFUSED, ids=repr)
@pytest.mark.parametrize("when", ["init_error", "start_error"])
async def test_what_no_retry_helps_against_is_a_refusal(
    adapter: Adapter, error: Exception, when: str
) -> None:
    setattr(adapter.vendor, when, error)
    with pytest.raises(AvatarRefused):
        await adapter.avatar.start()
    await adapter.avatar.aclose()
    assert not adapter.lost


@pytest.mark.parametrize("error", PASSING, ids=repr)
@pytest.mark.parametrize("when", ["init_error", "start_error"])
async def test_what_may_pass_is_unavailable(adapter: Adapter, error: Exception, when: str) -> None:
    setattr(adapter.vendor, when, error)
    with pytest.raises(AvatarUnavailable):
        await adapter.avatar.start()
    await adapter.avatar.aclose()
    assert not adapter.lost


async def test_the_trouble_carries_code_and_ids(adapter: Adapter) -> None:
    adapter.vendor.start_error = REFUSED[0]
    with pytest.raises(AvatarError) as refused:
        await adapter.avatar.start()
    assert refused.value.trouble == AvatarTrouble("creditsExhausted", "as scripted", "c", "r")


async def test_a_start_that_hangs_is_unavailable(
    adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_START_S", 0.01)
    adapter.vendor.start = asyncio.Event().wait  # type: ignore[assignment, method-assign]
    with pytest.raises(AvatarUnavailable) as gone:
        await adapter.avatar.start()
    assert gone.value.trouble.code == "unreachable"


async def test_a_close_that_we_did_not_ask_for_is_a_loss_once(adapter: Adapter) -> None:
    await adapter.avatar.start()
    adapter.vendor.given["on_error"](_sdk(Code.idleTimeout, connection_id="cid"))
    assert not adapter.lost  # an error alone closes nothing
    adapter.vendor.given["on_close"]()
    adapter.vendor.given["on_close"]()
    await adapter.avatar.aclose()
    assert [(one.code, one.connection_id) for one in adapter.lost] == [("idleTimeout", "cid")]


async def test_a_close_without_a_reason_is_a_loss_with_the_id_that_we_know(
    adapter: Adapter,
) -> None:
    await adapter.avatar.start()
    adapter.vendor.given["on_close"]()
    assert adapter.lost == [AvatarTrouble("connectionClosed", "", "cid")]


async def test_our_own_close_is_no_loss(adapter: Adapter) -> None:
    await adapter.avatar.start()
    await adapter.avatar.aclose()
    await adapter.avatar.aclose()
    assert not adapter.lost


async def test_a_dead_server_does_not_hold_up_the_close(
    adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLOSE_S", 0.01)
    await adapter.avatar.start()
    adapter.vendor.close_hangs.clear()
    await asyncio.wait_for(adapter.avatar.aclose(), 1.0)
    adapter.vendor.close_hangs.set()


async def test_one_request_from_its_first_samples_to_its_end(adapter: Adapter) -> None:
    await adapter.avatar.start()
    await adapter.avatar.finish()
    await adapter.avatar.play(b"ab")
    await adapter.avatar.play(b"cd")
    await adapter.avatar.finish()
    await adapter.avatar.finish()
    assert adapter.vendor.sent == [(b"ab", False), (b"cd", False), (b"", True)]


async def test_no_end_after_an_interruption(adapter: Adapter) -> None:
    await adapter.avatar.start()
    await adapter.avatar.play(b"ab")
    await adapter.avatar.interrupt()
    await adapter.avatar.finish()
    assert adapter.vendor.sent == [(b"ab", False)]
    assert adapter.vendor.interrupts == 1


GONE = (
    ValueError("WebSocket connection is not established"),
    _sdk(Code.connectionClosed, phase="websocket_send"),
)


@pytest.mark.parametrize("error", GONE, ids=repr)
async def test_acts_on_a_closed_connection_are_unavailable(
    adapter: Adapter, error: Exception
) -> None:
    await adapter.avatar.start()
    await adapter.avatar.play(b"ab")
    adapter.vendor.error = error
    for act in (adapter.avatar.play(b"ab"), adapter.avatar.finish(), adapter.avatar.interrupt()):
        with pytest.raises(AvatarUnavailable) as gone:
            await act
        assert gone.value.trouble.code == "connectionClosed"
        assert gone.value.trouble.connection_id == "cid"


def test_telemetry_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(spatius, "configure_telemetry", told.append)
    module.silence_telemetry()
    assert told == [""]
