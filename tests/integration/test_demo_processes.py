"""The demo's process manager: one end for all, by whatever cause, and nothing left behind."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import pytest

RUN = """
import os, sys
from pathlib import Path
from visavis_local.demo import run
from visavis_local.stack import LocalStack
sys.exit(run(LocalStack.create(Path(sys.argv[1])), sys.argv[2]))
"""
RUN_SHOWN = """
import os, sys
from pathlib import Path
from visavis_local.console import Console
from visavis_local.demo import run
from visavis_local.stack import LocalStack
folder = Path(sys.argv[1])
sys.exit(run(LocalStack.create(folder), sys.argv[2], Console(folder)))
"""
RUN_ONE = "python -m visavis_local.run"
SERVERS = f"nats: {RUN_ONE} nats\nprovision: {RUN_ONE} provision\n"
SLEEP = "talk: sleep 600\n"
SAY = "talk: sh -c 'printf {} > $VISAVIS_LOCAL_FOLDER/verdict'\n"


async def _run(folder: Path, procfile: str, program: str = RUN) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(folder), procfile, stdout=PIPE, stderr=STDOUT
    )


async def _read_until(process: Process, text: str) -> str:
    """What it writes up to a line with `text`; its end counts as well."""
    said = ""
    assert process.stdout
    async with asyncio.timeout(20):
        while text not in said and (line := await process.stdout.readline()):
            said += line.decode()
    return said


def _left(said: str) -> list[int]:
    """Process ids out of the manager's output that are still alive."""
    started = [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", said)]
    return [pid for pid in started if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("verdict", "status"), [("0", 0), ("1", 1)])
async def test_the_status_is_the_conversations(tmp_path: Path, verdict: str, status: int) -> None:
    process = await _run(tmp_path, SERVERS + SAY.format(verdict))
    said = await _read_until(process, "never written")
    assert await process.wait() == status, said
    assert said.count("started (pid=") == 3
    assert not _left(said)


async def test_a_process_that_ends_before_the_conversation_is_a_failure(tmp_path: Path) -> None:
    process = await _run(tmp_path, SERVERS + SLEEP + "asr: true\n")
    said = await _read_until(process, "never written")
    assert await process.wait() != 0, said
    assert not _left(said)


@pytest.mark.parametrize("moment", ["nats started", "streams and consumers are in place"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_at_any_moment_ends_all(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    process = await _run(tmp_path, SERVERS + SLEEP)
    said = await _read_until(process, moment)
    process.send_signal(number)
    said += await _read_until(process, "never written")
    assert await process.wait() in (130, 143), said
    assert not _left(said)


async def test_ctrl_c_while_serving_leaves_the_verdict_as_it_was(tmp_path: Path) -> None:
    process = await _run(tmp_path, SERVERS + SLEEP)
    await _read_until(process, "streams and consumers are in place")
    (tmp_path / "verdict").write_text("0")
    process.send_signal(signal.SIGINT)
    said = await _read_until(process, "never written")
    assert await process.wait() == 0, said


@pytest.mark.parametrize(
    ("end", "how"), [("exit 3", "exit status 3"), ("kill -9 $$", "killed by signal 9")]
)
async def test_whoever_ended_too_early_is_named_with_its_last_words(
    tmp_path: Path, end: str, how: str
) -> None:
    asr = f"asr: sh -c 'echo last words; {end}'\n"
    process = await _run(tmp_path, SERVERS + SLEEP + asr, RUN_SHOWN)
    said = await _read_until(process, "never written")
    assert await process.wait() == 1
    assert said.splitlines()[-2:] == [
        f"demo: asr ended ({how}); its last lines:",
        "  | last words",
    ]


async def test_the_conversation_ends_before_the_services_and_they_before_the_servers(
    tmp_path: Path,
) -> None:
    """Told to end, each leaves its name; egress takes longer than the kill of honcho's own."""
    leave = 'trap "sleep {}; echo {} >> $VISAVIS_LOCAL_FOLDER/left; exit" TERM'
    wait = "echo waiting; while true; do sleep 0.1; done"
    lines = [
        f"{name}: sh -c '{leave.format(seconds, name)}; {wait}'"
        for name, seconds in (("nats", 0), ("egress", 6), ("talk", 1))
    ]
    process = await _run(tmp_path, "\n".join(lines))
    for _ in lines:
        await _read_until(process, "waiting")
    process.send_signal(signal.SIGINT)
    said = await _read_until(process, "never written")
    assert await process.wait() == 130, said
    assert (tmp_path / "left").read_text().split() == ["talk", "egress", "nats"]
