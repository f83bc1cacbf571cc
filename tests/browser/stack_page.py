"""The page in front of the whole system, by the session API: until token serves it by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from aiohttp import web

from tests.browser.stage import CHARACTERS, add_page, serving
from tests.browser.stock_page import add_stock
from tests.support.conversation import World


@asynccontextmanager
async def page_of(world: World, stock: Path) -> AsyncIterator[str]:
    """The page's address; its token requests open real sessions. `stock`: see `build_stock`."""

    async def on_token(request: web.Request) -> web.Response:
        agents = (await request.json())["room_config"]["agents"]
        try:
            made = await world.api.create(agents[0]["agent_name"])
        except grpc.aio.AioRpcError as error:
            is_full = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            headers = {"Retry-After": "2"} if is_full else {}
            return web.json_response({"error": ""}, status=503 if is_full else 404, headers=headers)
        avatar = made.session.avatar
        names = ("provider", "app_id", "avatar_id", "region", "mode")
        answer = {
            "server_url": made.livekit_url,
            "participant_token": made.participant_token,
            "visavis": {
                "session_id": made.session.session_id,
                "avatar": {name: getattr(avatar, name) for name in names},
                "expires_at": "",
            },
        }
        return web.json_response(answer, status=201)

    async def on_facts(_request: web.Request) -> web.Response:
        facts = {"disclosure": "", "adapter_url": "", "avatarkit_url": "", "characters": CHARACTERS}
        return web.json_response(facts)

    app = web.Application()
    app.router.add_post("/token", on_token)
    app.router.add_get("/page.json", on_facts)
    add_page(app)
    add_stock(app, stock)
    async with serving(app) as url:
        yield url
