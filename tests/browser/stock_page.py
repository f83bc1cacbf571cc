"""The stock front end, bundled from npm's packages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.browser.looks import STOCK
from tests.browser.stage import serving
from visavis_local.page import install_packages, run_node

HTML = (
    '<!doctype html><html lang="en"><title>Stock</title><div id="root"></div>'
    '<script type="module" src="/stock/main.js"></script>'
)


def build_stock(folder: Path) -> Path:
    """Bundle it into `folder`."""
    install_packages(STOCK)
    settings = ("--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning", "--minify")
    program = "node_modules/esbuild/bin/esbuild"
    run_node(STOCK, program, "main.jsx", *settings, f"--outfile={folder / 'main.js'}")
    return folder


@asynccontextmanager
async def serving_stock(folder: Path, port: int) -> AsyncIterator[str]:
    """The front end on an origin of its own; `?endpoint=` names the token endpoint."""

    async def index(_request: web.Request) -> web.Response:
        return web.Response(text=HTML, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_static("/stock", folder)
    async with serving(app, port) as url:
        yield url
