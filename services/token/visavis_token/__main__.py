"""Start the session API: settings, characters, keys, the gRPC server, SIGTERM."""

import asyncio
import sys

from visavis_runtime import lifecycle, settings
from visavis_runtime.bus import Bus
from visavis_runtime.health import Health
from visavis_token import characters
from visavis_token.api_keys import ApiKeys
from visavis_token.livekit_tokens import LiveKitTokens
from visavis_token.server import Server
from visavis_token.service import SessionService
from visavis_token.settings import Settings, listed


def main() -> None:
    """Exit status 78 and the variable's name when a setting is missing or wrong."""
    config = settings.load(Settings)
    try:
        known = characters.load(config.characters)
    except characters.CharacterError as error:
        print(f"VISAVIS_CHARACTERS: {error}", file=sys.stderr)
        raise SystemExit(settings.EXIT_CONFIG) from None

    async def serve(bus: Bus, health: Health, stopping: asyncio.Event) -> None:
        service = SessionService(
            bus,
            keys=ApiKeys.parse(config.api_keys.get_secret_value()),
            characters=known,
            tokens=LiveKitTokens(
                config.livekit_api_key, config.livekit_api_secret.get_secret_value()
            ),
            livekit_url=config.livekit_public_url,
            operators=listed(config.operator_keys),
        )
        server = Server(service, health)
        await server.start(config.grpc_host, config.grpc_port)
        await server.run(stopping)

    lifecycle.run("token", config, serve)


if __name__ == "__main__":
    main()
