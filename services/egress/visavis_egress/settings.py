"""Everything egress is told by its environment."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from visavis_runtime.settings import ServiceSettings

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Settings(ServiceSettings):
    """See the field docstrings; every field names its variable."""

    livekit_url: str = Field(validation_alias="VISAVIS_LIVEKIT_URL")
    """LiveKit, as this process reaches it: ws:// or wss://."""
    livekit_vendor_url: str = Field("", validation_alias="VISAVIS_LIVEKIT_VENDOR_URL")
    """LiveKit, as the avatar vendor reaches it; empty: the same address."""
    livekit_api_key: str = Field(validation_alias="VISAVIS_LIVEKIT_API_KEY")
    """Key of a LiveKit account that may create rooms."""
    livekit_api_secret: SecretStr = Field(
        validation_alias="VISAVIS_LIVEKIT_API_SECRET", min_length=32
    )
    """Its secret, at least 32 characters."""

    avatar: str = Field(
        "spatius", validation_alias="VISAVIS_AVATAR", pattern="^(spatius|audio_only)$"
    )
    """`spatius`, or `audio_only` for the voice without a face."""
    spatius_api_key: SecretStr = Field(SecretStr(""), validation_alias="SPATIUS_API_KEY")
    """Key of the avatar vendor's account; needed for `spatius`."""
    spatius_app_id: str = Field("", validation_alias="SPATIUS_APP_ID")
    """The vendor's application id; needed for `spatius`."""
    spatius_avatar_id: str = Field("", validation_alias="SPATIUS_AVATAR_ID")
    """The face of characters that name none; needed for `spatius`."""
    spatius_region: str = Field("auto", validation_alias="SPATIUS_REGION")
    """The vendor's region; `auto` asks the vendor."""
    spatius_console_endpoint: str = Field("", validation_alias="SPATIUS_CONSOLE_ENDPOINT")
    """The vendor's console, for a Motion Server of one's own; with the ingress or not at all."""
    spatius_ingress_endpoint: str = Field("", validation_alias="SPATIUS_INGRESS_ENDPOINT")
    """The vendor's ingress (ws:// or wss://)."""
    spatius_telemetry: bool = Field(False, validation_alias="VISAVIS_SPATIUS_TELEMETRY")
    """Let the vendor's SDK report to the vendor."""

    slots: int = Field(8, validation_alias="VISAVIS_SESSION_SLOTS", ge=1, le=64)
    """Sessions one process holds; an error in the media library takes all of them with it."""
    lease_s: float = Field(20.0, validation_alias="VISAVIS_LEASE_SECONDS", ge=2.0)
    """The lease's ack wait, as it was provisioned; renewals and the fence follow from it."""

    text_scorer: bool = Field(True, validation_alias="VISAVIS_TEXT_SCORER")
    """Ask the language model whether the person has finished; without it punctuation counts."""
    sound_scorer: bool = Field(True, validation_alias="VISAVIS_SOUND_SCORER")
    """Ask smart-turn (in this process, 50 ms of computing a pause) the same about the sound."""
    stateful_model: bool = Field(False, validation_alias="VISAVIS_STATEFUL_MODEL")
    """The language model acts or remembers: it is shown no words before their turn is stored."""

    @model_validator(mode="after")
    def _avatar_is_complete(self) -> "Settings":
        if self.avatar != "spatius":
            return self
        for variable, value in (
            ("SPATIUS_API_KEY", self.spatius_api_key.get_secret_value()),
            ("SPATIUS_APP_ID", self.spatius_app_id),
            ("SPATIUS_AVATAR_ID", self.spatius_avatar_id),
        ):
            if not value:
                raise ValueError(f"{variable}: missing; VISAVIS_AVATAR is spatius")
        if bool(self.spatius_console_endpoint) != bool(self.spatius_ingress_endpoint):
            raise ValueError(
                "SPATIUS_CONSOLE_ENDPOINT and SPATIUS_INGRESS_ENDPOINT: give both or neither"
            )
        self._vendor_reaches_livekit()
        return self

    def _vendor_reaches_livekit(self) -> None:
        vendor = urlsplit(self.spatius_ingress_endpoint).hostname
        livekit = urlsplit(self.livekit_vendor_url or self.livekit_url).hostname
        if vendor not in _LOOPBACK and livekit in _LOOPBACK:
            raise ValueError(
                "VISAVIS_LIVEKIT_VENDOR_URL: the avatar vendor publishes into the room from its "
                f"cloud and cannot reach LiveKit at {livekit}; give an address that it can reach"
            )
