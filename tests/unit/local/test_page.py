"""When the page is built again, with which node, and where npm's packages lie."""

import subprocess
from pathlib import Path

import pytest

from visavis_local import page


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of one file, a cache of its own, and npm and node that only write down their call."""
    web = tmp_path / "web"
    web.mkdir()
    for name in (*page.NPM_FILES, "index.html"):
        (web / name).write_text(name)
    (tmp_path / "built").mkdir()
    monkeypatch.setattr(page, "WEB", web)
    monkeypatch.setattr(page, "BUILT", tmp_path / "built")
    monkeypatch.setattr(page, "CACHE", tmp_path / "cache")
    return web


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run."""
    commands: list[list[str]] = []
    monkeypatch.setattr(page, "_run", lambda command, _folder: commands.append(command))
    monkeypatch.setattr(page, "node_command", lambda: "node")
    monkeypatch.setattr(page, "_npm", lambda: ["npm"])
    return commands


def test_it_is_built_once_and_again_when_a_source_changes(web: Path, ran: list[list[str]]) -> None:
    page.build_page()
    page.build_page()
    assert ran == [["npm", "ci", "--ignore-scripts", "--silent"], ["node", "build.mjs"]]
    (web / "index.html").write_text("another")
    page.build_page()
    assert ran[2:] == [["node", "build.mjs"]]


def test_packages_lie_in_the_cache_by_their_lock(web: Path, ran: list[list[str]]) -> None:
    page.install_packages(web)
    first = (web / "node_modules").readlink()
    assert first.is_relative_to(web.parent / "cache")
    (web / "package-lock.json").write_text("newer")
    page.install_packages(web)
    assert (web / "node_modules").readlink() != first
    assert len(ran) == 2


@pytest.mark.parametrize(("said", "taken"), [("v19.9.0", False), ("v20.1.0", True), ("", False)])
def test_a_node_that_is_too_old_is_not_taken(
    said: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visavis_local.page.shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(page, "_wheel", lambda: Path("/wheel"))
    done = subprocess.CompletedProcess([], 0, stdout=said)
    monkeypatch.setattr("visavis_local.page.subprocess.run", lambda *_, **__: done)
    assert page.node_command() == ("/bin/node" if taken else "/wheel/bin/node")
    assert page._npm()[0] == ("/bin/npm" if taken else "/wheel/bin/node")


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="failed with status 3"):
        page._run(["sh", "-c", "exit 3"], tmp_path)
