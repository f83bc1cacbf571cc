"""Start the session API: settings, characters, keys, the servers, SIGTERM."""

import asyncio
import sys
from contextlib import AsyncExitStack

from aiohttp import web

from visavis_runtime import health, lifecycle, settings
from visavis_runtime.bus import Bus
from visavis_token import characters
from visavis_token.access import Access
from visavis_token.api_keys import ApiKeys
from visavis_token.holder import Holder
from visavis_token.links import Links
from visavis_token.livekit_tokens import LiveKitTokens
from visavis_token.page import Page, VendorModules
from visavis_token.server import Server
from visavis_token.service import SessionService
from visavis_token.sessions import Sessions
from visavis_token.settings import Settings, listed
from visavis_token.token_endpoint import Offer, TokenEndpoint

Characters = dict[str, characters.Character]


def main() -> None:
    """Exit status 78 and the variable's name when a setting is missing or wrong."""
    config = settings.load(Settings)
    variable = "VISAVIS_CHARACTERS"
    try:
        known = characters.load(config.characters)
        variable = "VISAVIS_DEFAULT_CHARACTER"
        default = characters.default_of(known, config.default_character)
    except characters.CharacterError as error:
        print(f"{variable}: {error}", file=sys.stderr)
        raise SystemExit(settings.EXIT_CONFIG) from None

    async def serve(bus: Bus, readiness: health.Health, stopping: asyncio.Event) -> None:
        service = SessionService(
            bus,
            keys=ApiKeys.parse(config.api_keys.get_secret_value()),
            characters=known,
            tokens=_tokens(config),
            livekit_url=config.livekit_public_url,
            operators=listed(config.operator_keys),
        )
        server = Server(service, readiness)
        async with AsyncExitStack() as stack:
            if config.http_port is not None:
                routes = _http(config, bus, known, default)
                runner = await health.serve(routes, config.http_host, config.http_port)
                stack.push_async_callback(runner.cleanup)
            await server.start(config.grpc_host, config.grpc_port)
            await server.run(stopping)

    lifecycle.run("token", config, serve)


def _tokens(config: Settings) -> LiveKitTokens:
    return LiveKitTokens(config.livekit_api_key, config.livekit_api_secret.get_secret_value())


def _http(config: Settings, bus: Bus, known: Characters, default: str) -> list[web.RouteDef]:
    keys = ApiKeys.parse(config.api_keys.get_secret_value())
    access = Access(keys, listed(config.http_origins), is_public=config.public_demo)
    endpoint = TokenEndpoint(
        access,
        Links(bus, Sessions(bus, known, Holder(bus))),
        _tokens(config),
        Offer(known, default, config.livekit_public_url),
    )
    vendor = VendorModules(
        config.page_adapter_url,
        config.page_avatarkit_url,
        tuple(listed(config.page_vendor_origins)),
    )
    first = sorted(known.values(), key=lambda one: one.id != default)
    return [*endpoint.routes(), *Page(first, config.livekit_public_url, vendor).routes()]


if __name__ == "__main__":
    main()
