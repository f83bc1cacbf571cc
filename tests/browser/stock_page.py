"""The stock front end, bundled from npm's packages."""

from pathlib import Path

from aiohttp import web

from tests.browser.looks import STOCK
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


def add_stock(app: web.Application, folder: Path) -> None:
    """The front end under /stock."""

    async def index(_request: web.Request) -> web.Response:
        return web.Response(text=HTML, content_type="text/html")

    app.router.add_get("/stock", index)
    app.router.add_static("/stock", folder)
