"""Client messages as the SDK encodes them, and every refusal."""

from typing import Any

import pytest
from spatius.proto.generated import message_pb2

from visavis_motion_sim import wire

pb: Any = message_pb2


def configure(**changes: object) -> Any:
    """A good ClientConfigureSession with some egress fields changed."""
    message = pb.Message(type=pb.MESSAGE_CLIENT_CONFIGURE_SESSION)
    session = message.client_configure_session
    session.sample_rate = 24000
    session.egress_type = pb.EGRESS_TYPE_LIVEKIT
    egress = {"url": "ws://lk", "api_token": "t", "room_name": "r", "publisher_id": "avatar-r-1"}
    for name, value in {**egress, **changes}.items():
        setattr(session.livekit_egress, name, value)
    session.livekit_egress.extra_attributes["livekit_agent_identity"] = "agent-r"
    return message


def refused(message: Any) -> wire.WireError:
    """The error that decoding raises."""
    with pytest.raises(wire.WireError) as caught:
        wire.decode(message.SerializeToString())
    return caught.value


def test_a_configuration_is_read() -> None:
    egress = wire.Egress("ws://lk", "t", "r", "avatar-r-1", "agent-r", 7)
    decoded = wire.decode(configure(idle_timeout=7).SerializeToString())
    assert decoded == wire.Configure(24000, egress)


def test_no_egress_is_relay() -> None:
    message = configure()
    message.client_configure_session.egress_type = pb.EGRESS_TYPE_UNSPECIFIED
    assert wire.decode(message.SerializeToString()) == wire.Configure(24000, None)


@pytest.mark.parametrize("field", ["url", "api_token", "room_name", "publisher_id"])
def test_a_missing_egress_field_is_an_invalid_argument(field: str) -> None:
    error = refused(configure(**{field: ""}))
    assert error.code == wire.INVALID_ARGUMENT
    assert "livekit" in error.message


def test_opus_other_rates_and_agora_are_refused() -> None:
    opus, rate, agora = configure(), configure(), configure()
    opus.client_configure_session.audio_format = pb.AUDIO_FORMAT_OGG_OPUS
    rate.client_configure_session.sample_rate = 12000
    agora.client_configure_session.egress_type = pb.EGRESS_TYPE_AGORA
    assert "invalid argument" in refused(opus).message
    assert "unsupported sample rate" in refused(rate).message
    assert "agora" in refused(agora).message


def test_audio_and_interrupt_are_read() -> None:
    audio = pb.Message(type=pb.MESSAGE_CLIENT_AUDIO_INPUT)
    audio.client_audio_input.req_id = "a"
    audio.client_audio_input.audio = b"\1\2"
    audio.client_audio_input.end = True
    assert wire.decode(audio.SerializeToString()) == wire.AudioInput("a", b"\1\2", True)
    stop = pb.Message(type=pb.MESSAGE_CLIENT_INTERRUPT)
    stop.client_interrupt.req_id = "a"
    assert wire.decode(stop.SerializeToString()) == wire.Interrupt("a")


def test_misaligned_or_nameless_audio_is_refused() -> None:
    audio = pb.Message(type=pb.MESSAGE_CLIENT_AUDIO_INPUT)
    audio.client_audio_input.audio = b"\1\2"
    assert "req_id" in refused(audio).message
    audio.client_audio_input.req_id = "a"
    audio.client_audio_input.audio = b"\1\2\3"
    assert "aligned" in refused(audio).message


@pytest.mark.parametrize("raw", [b"\xff", b"", b"\x08\x05"])
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.decode(raw)
    assert caught.value.code == wire.INVALID_ARGUMENT


def test_answers_can_be_read_by_the_sdk() -> None:
    confirmed = pb.Message.FromString(wire.confirm("c1"))
    assert confirmed.type == pb.MESSAGE_SERVER_CONFIRM_SESSION
    assert confirmed.server_confirm_session.connection_id == "c1"
    failed = pb.Message.FromString(wire.error(4001, "credits", connection_id="c1", req_id="a"))
    assert failed.type == pb.MESSAGE_SERVER_ERROR
    found = failed.server_error
    assert (found.code, found.message, found.connection_id, found.req_id) == (
        4001,
        "credits",
        "c1",
        "a",
    )
