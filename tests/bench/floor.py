"""Interruptions in a real room: how soon it is silent, and how soon it speaks again.

The avatar speaks by a Say, in one tone without a hole (the scripted voice), so that all silence is
the system's.
"""

import asyncio
import time

from tests.bench.figures import Floor
from tests.bench.machine import Meter
from tests.bench.rooms import GAP_S, Place
from tests.support.barge_in import SILENCE_DBFS
from tests.support.conversation import OVER, Talk, talk
from tests.support.utterance import Spoken
from visavis.session.v1 import session_pb2 as api

LONG = (
    "This is a long story about a town by the sea. Nobody there was ever in a hurry. "
    "In the morning the fishermen came home. In the evening they went out again. "
    "The children played on the beach. The old people sat in front of their houses."
)
WORDS = "Wait a moment, I would rather know what a mouse is."
SIGN = "Okay, sure."
INTO_S = 1.0
"""The person speaks so long after the first sound: within the first three seconds of it."""
SIGN_INTO_S = 3.5
RESUMED_WITHIN_S = 4.0
LISTEN_S = 1.0
PAUSE_S = 0.5
SENTENCES = LONG.count(".")


async def interrupt(where: Place, calls: int, found: Floor) -> None:
    """In each call twice: the first interruption of a call is a case of its own."""
    meter = Meter({})
    for _ in range(calls):
        async with talk(where.world) as one:
            await one.seated()
            found.first_s.append(await _barge_in(one))
            found.later_s.append(await _barge_in(one))
    found.pressure = round(meter.pressure, 3)


async def show_attention(where: Place, times: int, found: Floor) -> None:
    """One call: signs of attention into the avatar's words. Recognition must hear SIGN."""
    async with talk(where.world) as one:
        await one.seated()
        for _ in range(times):
            await _sign(one, found)


async def listen(where: Place, times: int, found: Floor) -> None:
    """One call: long answers, nobody interrupts."""
    async with talk(where.world) as one:
        await one.seated()
        for _ in range(times):
            turn, first = await _say(one, LONG)
            await one.over(turn, within_s=60.0)
            await asyncio.sleep(PAUSE_S)
            recording = one.caller.recording
            last = recording.last_audible_before(time.monotonic()) or first
            made_s = where.ledger.audible_s(one.session_id, turn)
            found.added_s.setdefault(where.kind, []).append(round(last - first - made_s, 4))
            if where.kind == "instant":  # its speech is one tone: every hole is ours
                found.gaps_s += recording.gaps(first, last, longer_than_s=GAP_S)
                found.sentences += SENTENCES


async def _barge_in(one: Talk) -> float:
    """Seconds from the first voiced sample to the last moment above -50 dBFS."""
    turn, first = await _say(one, LONG)
    await asyncio.sleep(max(0.0, first + INTO_S - time.monotonic()))
    spoken = await one.ask(WORDS)
    await one.over(turn)
    last = one.caller.recording.last_audible_before(spoken.end, SILENCE_DBFS)
    await _answered(one, spoken)
    return max(0.0, (last or spoken.start) - spoken.start)


async def _answered(one: Talk, spoken: Spoken) -> None:
    """The words that interrupted are a turn of their own, and it is over."""

    def is_its_end(event: api.SessionEvent) -> bool:
        is_spoken = event.turn.origin == api.TurnEvent.ORIGIN_SPEECH
        return is_spoken and event.turn.step == api.TurnEvent.STEP_COMPLETED

    await one.caller.until(
        lambda: any(noted.stored > spoken.end for noted in one.all(is_its_end)), 30.0
    )
    await asyncio.sleep(PAUSE_S)


async def _sign(one: Talk, found: Floor) -> None:
    turn, first = await _say(one, LONG)
    await asyncio.sleep(max(0.0, first + SIGN_INTO_S - time.monotonic()))
    spoken = await one.ask(SIGN)
    resumed = await _resumed(one, spoken.start)
    await asyncio.sleep(LISTEN_S)
    if any(one.all(lambda event: event.turn.step in OVER and event.turn.turn == turn)):
        found.taken += 1
        return
    recording = one.caller.recording
    if resumed is None:
        found.went_on += 1
    else:
        again = recording.first_audible_after(resumed) or time.monotonic()
        silent = recording.last_audible_before(again) or again
        found.resumed_s.append(again - resumed)
        found.paused_s.append(again - silent)
    await one.world.api.interrupt(one.session_id)  # the rest of the story is of no interest
    await one.over(turn)
    await asyncio.sleep(PAUSE_S)


async def _resumed(one: Talk, since: float) -> float | None:
    """When the answer was taken up again; None: it was not."""
    deadline = time.monotonic() + RESUMED_WITHIN_S
    while time.monotonic() < deadline:
        if found := [noted.stored for noted in one.all(_is_resumed) if noted.stored > since]:
            return found[0]
        await asyncio.sleep(0.02)
    return None


def _is_resumed(event: api.SessionEvent) -> bool:
    return event.WhichOneof("kind") == "turn" and event.turn.step == api.TurnEvent.STEP_RESUMED


async def _say(one: Talk, text: str) -> tuple[int, float]:
    """Have it spoken; turn and first sound."""
    recording = one.caller.recording
    recording.tracks.clear()
    asked = time.monotonic()
    turn = await one.say(text)
    await one.caller.until(lambda: recording.first_audible_after(asked) is not None, 15.0)
    return turn, recording.first_audible_after(asked) or asked
