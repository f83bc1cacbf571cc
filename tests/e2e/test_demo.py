"""The demo as a whole: what somebody sees who has just typed `make demo`."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.openai_server import OpenAIServer, Reply
from visavis_local.talk import script

pytestmark = [pytest.mark.timeout(300), pytest.mark.audio, pytest.mark.slow]


async def _demo(settings: Mapping[str, str], *, within_s: float) -> tuple[int, str]:
    """Run it without a terminal; exit status and everything that was printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "visavis_local.demo"),
        env=os.environ | settings,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.terminate()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode()


def _left(said: str) -> list[int]:
    """Processes that are still there, by the manager's own log."""
    found = re.search(r"logs: (\S+)", said)
    assert found, said
    started = re.findall(r"started \(pid=(\d+)\)", Path(found[1], "system.log").read_text())
    assert len(started) >= 10, said
    return [pid for pid in map(int, started) if Path(f"/proc/{pid}").exists()]


async def test_the_demo_holds_its_conversation_and_says_that_all_was_well() -> None:
    status, said = await _demo({}, within_s=240)
    assert status == 0, said
    assert not _left(said)
    assert "All was well" in said
    for words in (script.QUESTION, script.FOLLOW_UP, script.GOODBYE):
        assert f"Person       {words}" in said
    assert "cut off after: I will gladly" in said
    assert "the model's own answers are too brief" in said
    assert said.count("endpoint decided") == said.count("first sound (caller)") + 1 == 6
    for row in ("voice-to-voice", "word error rate"):
        assert re.search(rf"^  {row} .*\d", said, re.MULTILINE), said
    # Answers that were begun on other words count too.
    counted = re.search(r"counted (\d+) chat requests for 4 generated", " ".join(said.split()))
    assert counted, said
    assert int(counted[1]) >= 4
    assert "VISAVIS_LLM_BASE_URL, VISAVIS_LLM_MODEL, VISAVIS_LLM_API_KEY" in " ".join(said.split())
    assert "Traceback" not in said


async def test_a_model_that_only_fails_fails_the_demo_with_a_reason() -> None:
    async with OpenAIServer(Reply(status=500)) as model:
        settings = {"VISAVIS_LLM_BASE_URL": model.base_url, "VISAVIS_LLM_MODEL": "fixed"}
        status, said = await _demo(settings, within_s=120)
    assert status == 1, said
    assert not _left(said)
    assert "  - error event: " in said
    assert "Traceback" not in said
