"""The page's files, its facts, and what a browser may load with it."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from visavis_token.characters import load
from visavis_token.page import Page, VendorModules

CHARACTERS = load(Path(__file__).parents[3] / "deploy" / "characters")
VENDOR = VendorModules(
    "https://cdn.example/rtc.js", "https://kit.example/kit.js", ("wss://api.example",)
)


def _client(folder: Path, vendor: VendorModules) -> "TestClient[web.Request, web.Application]":
    app = web.Application()
    app.add_routes(Page(CHARACTERS.values(), "wss://rooms.example", vendor, folder).routes())
    return TestClient(TestServer(app))


def _rules(policy: str) -> dict[str, set[str]]:
    words = (rule.split() for rule in policy.split(";"))
    return {name: set(sources) for name, *sources in words}


async def test_a_page_that_is_not_built_says_what_builds_it(tmp_path: Path) -> None:
    async with _client(tmp_path, VendorModules()) as client:
        for path in ("/", "/assets/main.js"):
            response = await client.get(path)
            assert (response.status, "make setup" in await response.text()) == (404, True)


async def test_built_files_are_served_and_kept_as_long_as_their_names_say(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "assets" / "main-1.js").write_text("1;")
    async with _client(tmp_path, VendorModules()) as client:
        index, asset = await client.get("/"), await client.get("/assets/main-1.js")
        assert (index.status, index.content_type) == (200, "text/html")
        assert (asset.status, await asset.text()) == (200, "1;")
        assert "immutable" in asset.headers["Cache-Control"]
        assert index.headers["Cache-Control"] == "no-cache"
        missing = await client.get("/assets/main-2.js")
        assert (missing.status, "make setup" in await missing.text()) == (404, False)


async def test_without_a_vendor_only_we_and_livekit_may_be_reached(tmp_path: Path) -> None:
    async with _client(tmp_path, VendorModules()) as client:
        headers = (await client.get("/")).headers
    rules = _rules(headers["Content-Security-Policy"])
    assert rules["connect-src"] == {"'self'", "wss://rooms.example", "https://rooms.example"}
    assert rules["script-src"] == rules["style-src"] == {"'self'"}
    assert rules["default-src"] == rules["frame-ancestors"] == {"'none'"}
    assert "microphone=(self)" in headers["Permissions-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_vendors_modules_may_be_loaded_from_where_they_are_configured(
    tmp_path: Path,
) -> None:
    async with _client(tmp_path, VENDOR) as client:
        headers = (await client.get("/")).headers
        facts = await (await client.get("/page.json")).json()
    rules = _rules(headers["Content-Security-Policy"])
    modules = {"https://cdn.example", "https://kit.example"}
    assert rules["script-src"] == {"'self'", "'wasm-unsafe-eval'", *modules}
    assert {"wss://api.example", *modules} <= rules["connect-src"]
    assert "wss://api.example" not in rules["script-src"]
    assert facts["adapter_url"] == "https://cdn.example/rtc.js"
    assert facts["avatarkit_url"] == "https://kit.example/kit.js"


@pytest.mark.parametrize("address", ["/vendor/rtc.js", ""])
async def test_a_module_of_our_own_needs_no_other_origin(tmp_path: Path, address: str) -> None:
    async with _client(tmp_path, VendorModules(address)) as client:
        policy = (await client.get("/")).headers["Content-Security-Policy"]
    assert "://" not in policy.replace("wss://rooms.example https://rooms.example", "")
