"""The page to talk to: what the build left in `page/`, its facts, and what a browser may load."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from visavis_token.characters import Character

BUILT = Path(__file__).parent / "page"
_MISSING = "The page has not been built here. `make setup` builds it.\n"
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class VendorModules:
    """Addresses of the avatar vendor's modules (empty: none), and where else they connect to."""

    adapter_url: str = ""
    avatarkit_url: str = ""
    origins: tuple[str, ...] = ()


class Page:
    """`characters`: the one that is chosen at first comes first."""

    def __init__(
        self,
        characters: Iterable[Character],
        livekit_url: str,
        vendor: VendorModules,
        folder: Path = BUILT,
    ) -> None:
        self._characters, self._vendor = list(characters), vendor
        self._folder = folder
        self._headers = {
            "Content-Security-Policy": _policy(livekit_url, vendor),
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def routes(self) -> list[web.RouteDef]:
        """For the HTTP server."""
        return [
            web.get("/", self._index),
            web.get("/assets/{name:[A-Za-z0-9._-]+}", self._asset),
            web.get("/page.json", self._facts),
        ]

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return self._file(self._folder / "index.html", "no-cache")

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        # The names carry the content's hash.
        return self._file(self._folder / "assets" / request.match_info["name"], _FOR_EVER)

    def _file(self, path: Path, keep: str) -> web.StreamResponse:
        if path.is_file():
            return web.FileResponse(path, headers=self._headers | {"Cache-Control": keep})
        is_built = (self._folder / "index.html").is_file()
        text = "There is no such file.\n" if is_built else _MISSING
        return web.Response(status=404, text=text, headers=self._headers)

    async def _facts(self, _: web.Request) -> web.Response:
        facts = {
            "characters": [
                {"id": one.id, "name": one.shown_name, "disclosure": one.phrases.disclosure}
                for one in self._characters
            ],
            "disclosure": self._characters[0].phrases.disclosure,
            "adapter_url": self._vendor.adapter_url,
            "avatarkit_url": self._vendor.avatarkit_url,
        }
        headers = self._headers | {"Cache-Control": "no-cache"}
        return web.json_response(facts, headers=headers)


def _policy(livekit_url: str, vendor: VendorModules) -> str:
    """Ourselves, LiveKit (which is asked by HTTP why a connection failed), and the vendor."""
    livekit = _origin(livekit_url)
    addresses = [url for url in (vendor.adapter_url, vendor.avatarkit_url) if url]
    modules = {_origin(url) for url in addresses if urlsplit(url).netloc}
    loaded = " ".join(sorted(modules))
    reached = " ".join(sorted(modules | set(vendor.origins)))
    rules = {
        "default-src": "'none'",
        # The vendor draws with WebAssembly, and in workers that it makes from blobs.
        "script-src": f"'self' 'wasm-unsafe-eval' {loaded}" if addresses else "'self'",
        "worker-src": f"'self' blob: {loaded}" if addresses else "'self'",
        "connect-src": f"'self' {livekit} {livekit.replace('ws', 'http', 1)} {reached}",
        "style-src": "'self'",
        "img-src": f"'self' data: {loaded}",
        "media-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources.strip()}" for name, sources in rules.items())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
