"""`make bench`: how fast, how many, at what cost; see the README beside this file."""

import argparse
import asyncio
import json
import logging
import math
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.bench import crowd, floor, rooms
from tests.bench.figures import Answers, Floor, Run
from tests.bench.machine import described
from tests.bench.picture import picture
from tests.bench.report import report
from tests.bench.rooms import Place
from tests.support.voices import speak_all
from visavis_local.places import CACHE

PARTS = ("embedded", "instant", "floor", "in-process")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run. Numbers of sessions, and how often each thing is done."""

    form: str
    embedded: Sequence[int]
    instant: Sequence[int]
    in_process: Sequence[int]
    turns: int
    """Questions of each person; where there are many persons, fewer."""
    calls: int
    """Calls that are interrupted, twice each."""
    signs: int
    stories: int
    slots: int
    """Sessions of one egress process behind in-process rooms."""


FULL = Plan("full", (1, 2, 4), (1, 2, 4, 8), (1, 4, 16, 64, 200), 18, 10, 8, 3, 64)
SHORT = Plan("short", (1,), (1,), (1,), 1, 1, 1, 0, 64)
TURNS_AT_LEAST = 3


def main() -> None:
    """Run, show, keep."""
    options = _options()
    # Between two cases servers are stopped, and our own connections tell so.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    plan = SHORT if options.short else FULL
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    run = Run(plan.form, started, described())
    asyncio.run(_run(plan, run, options.only or PARTS, "spatius" if options.face else "audio_only"))
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join((plan.form, *(["face"] if options.face else []), *(options.only or ())))
    newest = folder / f"{name}.json"
    against = Path(options.against) if options.against else newest
    print("\n" + report(run, _kept(against)))
    text = json.dumps(run.to_json(), indent=1)
    stamp = started.replace(" ", "-").replace(":", "")
    for path in (newest, folder / "kept" / f"{name}-{stamp}.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    newest.with_suffix(".svg").write_text(picture(run))
    print(f"\nkept: {newest}, {newest.with_suffix('.svg')}")
    run.failed += [f"{one.kind}, {one.sessions}: no answer" for one in run.answers if not one.turns]
    if run.failed:
        sys.exit("FAILED: " + "; ".join(run.failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a look, in under 90 s")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts of it")
    parser.add_argument(
        "--face",
        action="store_true",
        help="real rooms with the simulated avatar, not a voice alone",
    )
    parser.add_argument("--out", default=str(CACHE / "bench"), help="folder for what is kept")
    parser.add_argument("--against", help="a JSON file to compare with; else the last of this form")
    return parser.parse_args()


def _kept(path: Path) -> Run | None:
    if not path.exists():
        return None
    try:
        return Run.from_json(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError):
        print(f"{path.name} is of another version: nothing to compare with")
        return None


async def _run(plan: Plan, run: Run, parts: Sequence[str], avatar: str) -> None:
    await asyncio.to_thread(speak_all, [*rooms.QUESTIONS, floor.WORDS, floor.SIGN])
    if "embedded" in parts:
        async with rooms.place("embedded", avatar) as where:
            await _in_rooms(run, where, plan.embedded, plan.turns)
            if "floor" in parts and plan.stories:
                run.floor = Floor()
                with _attempt(run, "long answers, embedded"):
                    await floor.listen(where, plan.stories, run.floor)
    if set(parts) & {"instant", "floor"}:
        async with rooms.place("instant", avatar) as where:
            if "instant" in parts:
                await _in_rooms(run, where, plan.instant, plan.turns)
            if "floor" in parts:
                run.floor = run.floor or Floor()
                await _floor(where, plan, run, run.floor)
    if "in-process" in parts:
        async with crowd.place() as where:
            await _in_process(run, where, plan)


async def _in_rooms(run: Run, where: Place, sizes: Sequence[int], turns: int) -> None:
    for sessions in sizes:
        each = _each(turns, sessions)
        _tell(where.kind, sessions, each)
        with _attempt(run, f"{where.kind}, {sessions} sessions"):
            _keep(run, await rooms.ask(where, sessions, each))


async def _in_process(run: Run, where: Place, plan: Plan) -> None:
    for sessions in plan.in_process:
        each = _each(plan.turns, sessions)
        _tell("in-process", sessions, each)
        with _attempt(run, f"in-process, {sessions} sessions"):
            _keep(run, await crowd.ask(where, sessions, each, plan.slots))


async def _floor(where: Place, plan: Plan, run: Run, found: Floor) -> None:
    print(f"interruptions: {plan.calls} calls", flush=True)
    with _attempt(run, "interruptions"):
        await floor.interrupt(where, plan.calls, found)
    if plan.stories:
        with _attempt(run, "long answers"):
            await floor.listen(where, plan.stories, found)
    async with rooms.heard_as(where.world.stack, floor.SIGN):
        print(f"signs of attention: {plan.signs}", flush=True)
        with _attempt(run, "signs of attention"):
            await floor.show_attention(where, plan.signs, found)


@contextmanager
def _attempt(run: Run, what: str) -> Iterator[None]:
    """A case that breaks is told at the end, and does not take the others with it."""
    try:
        yield
    except Exception as error:  # the outermost loop of the benchmark
        traceback.print_exception(error)
        run.failed.append(f"{what}: {type(error).__name__}")


def _each(turns: int, sessions: int) -> int:
    """A multiple of three, and all together at least `turns`: every question equally often."""
    return min(turns, math.ceil(turns / sessions / TURNS_AT_LEAST) * TURNS_AT_LEAST)


def _tell(kind: str, sessions: int, turns: int) -> None:
    print(f"{kind}: {sessions} sessions, {turns} questions each", flush=True)


def _keep(run: Run, answers: Answers) -> None:
    run.answers.append(answers)
    found = answers.spread()
    print(f"  p50 {found.p50 * 1000:.0f} ms, p95 {found.p95 * 1000:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
