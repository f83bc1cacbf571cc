"""What token serves by HTTP, in small: the page, its facts, and tokens for rooms with a puppet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.browser.puppet import Puppet, token
from tests.support.servers import LiveKitServer
from visavis_local.page import BUILT

CHARACTERS = [{"id": "nova", "name": "Nova"}, {"id": "ada", "name": "Ada"}]
SIMULATED = {
    "provider": "spatius",
    "app_id": "sim-app",
    "avatar_id": "sim-avatar",
    "region": "",
    "mode": "livekit_egress",
}
# Strict, so that nothing inline creeps in. Where the vendor's modules come from is configured.
CSP = (
    "default-src 'self'; connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*; "
    "img-src 'self' data:; media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'"
)


@dataclass
class Stage:
    """`refuse`: status and headers of the answer instead of a token. `facts`: page.json's."""

    server: LiveKitServer
    url: str = ""
    refuse: tuple[int, dict[str, str]] | None = None
    facts: dict[str, str] = field(default_factory=lambda: {"adapter_url": "", "avatarkit_url": ""})
    modules: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    puppets: list[Puppet] = field(default_factory=list)
    prefix: str = ""
    profile: str = "balanced"
    """The sessions' turn taking."""
    livekit_url: str = ""
    """What the page is told, where that is not the server itself."""

    @property
    def puppet(self) -> Puppet:
        """The agent of the newest room."""
        return self.puppets[-1]

    async def clear(self) -> None:
        """Everybody leaves; the next test finds an empty stage."""
        for puppet in self.puppets:
            await puppet.leave()
        self.puppets.clear()
        self.asked.clear()
        self.modules.clear()
        self.refuse = None
        self.livekit_url = ""
        self.profile = "balanced"
        self.facts = {"adapter_url": "", "avatarkit_url": ""}

    async def on_token(self, request: web.Request) -> web.Response:
        """A room with a puppet, or the refusal that the test wants."""
        self.asked.append(await request.json())
        if self.refuse:
            status, headers = self.refuse
            return web.json_response({"error": "refused"}, status=status, headers=headers)
        room = f"{self.prefix}{len(self.asked)}"
        self.puppets.append(await Puppet.join(self.server, room))
        answer = {
            "server_url": self.livekit_url or self.server.url,
            "participant_token": token(self.server, room, f"person-{room}"),
            "visavis": {
                "session_id": room,
                "avatar": SIMULATED,
                "expires_at": "",
                "turn_taking": {"profile": self.profile},
            },
        }
        return web.json_response(answer, status=201)

    async def on_facts(self, _request: web.Request) -> web.Response:
        """What the page asks for first."""
        disclosure = "You will talk with an AI, not with a person. Its face is drawn."
        facts = {"characters": CHARACTERS, "disclosure": disclosure, **self.facts}
        return web.json_response(facts)

    async def on_module(self, request: web.Request) -> web.Response:
        """A stand-in for one of the vendor's modules."""
        text = self.modules[request.match_info["name"]]
        return web.Response(text=text, content_type="text/javascript")


@asynccontextmanager
async def running_stage(server: LiveKitServer) -> AsyncIterator[Stage]:
    """The server on a free port, with the built page."""
    stage = Stage(server, prefix=f"r{id(server) % 100000}-")
    app = web.Application()
    app.router.add_post("/token", stage.on_token)
    app.router.add_get("/page.json", stage.on_facts)
    app.router.add_get("/modules/{name}", stage.on_module)
    add_page(app)
    async with serving(app) as url:
        stage.url = url
        yield stage
        await stage.clear()


def add_page(app: web.Application) -> None:
    """The built page under /, with a strict policy."""

    async def index(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(Path(BUILT, "index.html"), headers={"Content-Security-Policy": CSP})

    app.router.add_get("/", index)
    app.router.add_static("/assets", BUILT / "assets")


@asynccontextmanager
async def serving(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """An aiohttp application on this or a free loopback port; its address."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
