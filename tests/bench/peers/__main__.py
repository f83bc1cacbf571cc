"""`make bench-peers`: one person, one LiveKit server, one set of models, three systems.

Blocks are interleaved, A B C B C A, so that what changes on the machine meanwhile hits all alike.
Prints the table, keeps everything in a JSON file, and puts the table into the README; with --quick
a minute or two for each system, which prints only. See --help.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.machine import described
from tests.bench.peers import conversation
from tests.bench.peers.engines import Setup
from tests.bench.peers.processes import Usage, memory
from tests.bench.peers.results import NAMES, Block, Run, Sample, caption, placed, table
from tests.bench.peers.systems import SYSTEMS, System
from tests.support.servers import LiveKitServer, running_livekit
from visavis_local.environments import environment
from visavis_local.places import CACHE, ROOT
from visavis_local.stack import MODEL, LocalStack

KEPT = Path(__file__).with_name("measured.json")
SCRATCH = CACHE / "bench" / "peers-quick.json"
INSTRUCTIONS = (
    "You are a friendly guide who is talking with someone face to face. "
    "Answer in one to three short sentences of plain spoken English."
)
MAX_TOKENS = 40
TRANSCRIPT = "I would like to know something about the animals in the sea."
ANSWER = (
    "This is the first sentence of an answer. Here is another one, and it goes on for a while, "
    "so that there is something to interrupt."
)
OUR_WINDOW_S, LIBRARY_WINDOW_S = 8.0, 30.0
STAGGER_S = 1.7
"""Between the starts of sessions that run at once: people do not all speak in step."""
WARM_UP_S = 5.0
MODELS = ["embedded", "embedded-30s", "instant"]
_LIMIT_S = 900.0


@dataclass(frozen=True)
class Case:
    """One block to be run."""

    system: str
    models: str
    sessions: int
    turns: int
    interruptions: int


def plan(options: argparse.Namespace) -> Iterator[Case]:
    """Everything that was asked for, in the order of the run."""
    for number in range(options.rounds):
        # Whoever comes first pays for what is cold on the machine.
        turned = number % len(options.systems)
        systems = options.systems[turned:] + options.systems[:turned]
        for models in options.models:
            for system in systems:
                # Ours has no such setting: its window is always the short one.
                if models != "embedded-30s" or system != "visavis":
                    cuts = options.interruptions if models == "instant" else 0
                    yield Case(system, models, 1, options.turns, cuts)
        for sessions in options.sessions:
            for system in systems:
                yield Case(system, "instant", sessions, options.turns_at_once, 0)


@dataclass
class Bench:
    """The servers that all three use, and what was found so far."""

    livekit: LiveKitServer
    llm_url: str
    folder: Path
    run: Run

    async def block(self, case: Case) -> Block:
        """Start a system, talk, measure, stop it. What goes wrong is a result too."""
        block = Block(case.system, case.models, case.sessions)
        folder = self.folder / f"{len(self.run.blocks):02}-{case.system}-{case.models}"
        folder.mkdir()
        setup = self._setup(case, folder)
        try:
            async with asyncio.timeout(_LIMIT_S):
                async with SYSTEMS[case.system](self.livekit, setup, folder) as system:
                    await self._measure(system, case, block)
        except Exception as error:
            block.failed = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        return block

    async def _measure(self, system: System, case: Case, block: Block) -> None:
        # Their pools warm up behind the start.
        await asyncio.sleep(WARM_UP_S)
        block.idle_mb = memory(system.pids())
        async with AsyncExitStack() as stack:
            persons = [
                await stack.enter_async_context(conversation.seated(system))
                for _ in range(case.sessions)
            ]
            usage = Usage(system.pids())
            async with asyncio.TaskGroup() as group:
                for number, person in enumerate(persons):
                    group.create_task(_later(number * STAGGER_S, person, case, block))
            pids = system.pids()
            block.cores, block.pressure = usage.cores(pids), usage.pressure()
            block.memory_mb = memory(pids)
            delays = [await person.caller.jitter_buffer_s() for person in persons]
            known = [one for one in delays if one is not None]
            block.jitter_buffer_s = sum(known) / len(known) if known else math.nan

    def _setup(self, case: Case, folder: Path) -> Setup:
        is_long = case.models == "embedded-30s"
        return Setup(
            instant=case.models == "instant",
            instructions=INSTRUCTIONS,
            max_tokens=MAX_TOKENS,
            transcript=TRANSCRIPT,
            answer=ANSWER,
            llm_url=self.llm_url,
            llm_model=MODEL,
            window_s=LIBRARY_WINDOW_S if is_long else OUR_WINDOW_S,
            events=str(folder / "events.jsonl"),
        )


async def _later(after_s: float, person: conversation.Person, case: Case, block: Block) -> None:
    await asyncio.sleep(after_s)
    await conversation.talk(person, block, turns=case.turns, interruptions=case.interruptions)


async def measure(options: argparse.Namespace) -> Run:
    """All blocks; the file is written after each, so that nothing is lost."""
    for name in ("livekit", "pipecat"):
        if name in options.systems:
            environment(f"peers_{name}")
    if running := asyncio.current_task():
        for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What was started is stopped.
            asyncio.get_running_loop().add_signal_handler(told, running.cancel)
    run = Run(time.strftime("%Y-%m-%d %H:%M"), described(), os.getloadavg()[0])
    async with AsyncExitStack() as stack:
        folder = Path(options.folder or stack.enter_context(_scratch()))
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        livekit = await stack.enter_async_context(running_livekit())
        layout = LocalStack.create(folder, {})
        server = layout.process("model-server")
        await asyncio.to_thread(server.start)
        stack.push_async_callback(asyncio.to_thread, server.stop)
        await _warm(f"{layout.model_server_url}/v1")
        bench = Bench(livekit, f"{layout.model_server_url}/v1", folder, run)
        cases = list(plan(options))
        for number, case in enumerate(cases, 1):
            block = await bench.block(case)
            run.blocks.append(block)
            print(f"{number:3}/{len(cases)} {_told(block)}", flush=True)
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(run.to_json(), indent=1) + "\n")
    return run


async def _warm(url: str) -> None:
    """The model server reads the instructions, which costs the first question half a second."""
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": "Hello."},
    ]
    body = {"model": MODEL, "messages": messages, "max_tokens": 1}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as client,
        client.post(f"{url}/chat/completions", json=body) as response,
    ):
        await response.read()


def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="visavis-bench-")


def _told(block: Block) -> str:
    heard, wait = Sample([block]).heard, Sample([block]).wait
    cuts = [
        "never" if one.silence_s is None else f"{one.silence_s:.2f}" for one in block.interruptions
    ]
    told = [
        f"{NAMES[block.system]}, {block.models}, {block.sessions} at once:",
        f"heard {heard.p50:.2f} ({heard.p95:.2f}) of {heard.count}, wait {wait.p50:.2f},",
        f"cores {block.cores:.2f}, {block.memory_mb:.0f} MB, pressure {block.pressure:.2f},",
        f"jitter buffer {block.jitter_buffer_s * 1e3:.0f} ms,",
    ]
    if cuts:
        told.append(f"silent after {' '.join(cuts)},")
    return " ".join([*told, f"FAILED {block.failed}" if block.failed else ""])


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench-peers ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often A B C")
    parser.add_argument("--turns", type=int, default=10, help="questions to one session")
    parser.add_argument("--interruptions", type=int, default=4, help="of one session")
    parser.add_argument("--turns-at-once", type=int, default=4, help="to each of several sessions")
    parser.add_argument("--sessions", type=int, nargs="*", default=[2, 4, 8], help="at once")
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--quick", action="store_true", help="a look; the README stays as it is")
    parser.add_argument("--show", action="store_true", help="measure nothing, show what is kept")
    parser.add_argument("--json", type=Path, default=None, help="where the figures are kept")
    parser.add_argument("--folder", help="where logs are kept; left out: they are not")
    options = parser.parse_args(given)
    if options.quick:
        options.rounds, options.turns, options.interruptions = 1, 3, 2
        options.turns_at_once, options.sessions = 2, options.sessions[:1]
    options.json = options.json or (SCRATCH if options.quick else KEPT)
    return options


def main() -> None:
    """Measure, print, keep."""
    options = arguments()
    if options.show:
        run = Run.from_json(json.loads(options.json.read_text()))
    else:
        run = asyncio.run(measure(options))
    print("", table(run), "", caption(run), sep="\n")
    if not options.quick:
        readme = ROOT / "README.md"
        readme.write_text(placed(readme.read_text(), f"{table(run)}\n\n{caption(run)}"))


if __name__ == "__main__":
    main()
