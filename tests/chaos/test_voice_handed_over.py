"""Whoever holds a session dies while the avatar speaks: what the person hears then."""

import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.conftest import SETTINGS
from tests.support.conversation import Match, Talk, World, is_kind, running_world, talk
from tests.support.listener import understood
from tests.support.openai_server import Reply
from tests.support.recording import AUDIBLE_DBFS, Recording
from tests.support.replicas import Replicas, replicas
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

LEASE = {"VISAVIS_LEASE_SECONDS": "5"}
SILENT_S = 2.0
MARGIN_S = 0.3
"""For the way of the sound to the person and for the measuring."""
SENTENCES = (
    "The river is long and quiet in the morning.",
    "Boats come down from the mountains with wood and stone.",
    "The people on the shore wave at them.",
    "In the evening the lamps are lit, and the children go home.",
)
LONG = " ".join(SENTENCES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with running_world(SETTINGS | LEASE) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(world: World) -> AsyncIterator[Replicas]:
    async with replicas(world.stack, SETTINGS | LEASE) as one:
        yield one


def _audible(recording: Recording) -> list[tuple[float, float]]:
    """First and last audible moment of every track with sound, in order."""
    found = []
    for frames in recording.tracks.values():
        loud = [frame for frame in frames if frame.level_dbfs > AUDIBLE_DBFS]
        if loud:
            found.append((loud[0].heard, loud[-1].heard + loud[-1].seconds))
    return sorted(found)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_the_old_voice_falls_silent_and_the_new_one_goes_on(
    world: World, crowd: Replicas, blow: signal.Signals
) -> None:
    """Frozen, it leaves its connections open: the avatar plays what it was given ahead."""
    world.model.requests.clear()
    async with talk(world) as one:
        while len(crowd.of("egress")) < 2:
            await crowd.start("egress")
        await one.seated()
        world.model.replies.extend([Reply(LONG), Reply("Good night.")])
        spoken = await one.ask("Could you please tell me some more?")
        await one.event("the second sentence plays", _plays(1))
        struck = await crowd.holder()
        struck.signal(blow)
        killed_at = time.monotonic()
        outcome = await one.over(1, within_s=40.0)
        assert (outcome.step, outcome.heard_text) == (api.TurnEvent.STEP_COMPLETED, LONG)
        if blow is signal.SIGSTOP:
            struck.signal(signal.SIGCONT)  # whatever it wants to say now, nobody hears it
        recording = one.caller.recording
        await one.caller.until(
            lambda: recording.silent_from(recording.end - 1.0, for_s=0.9) is not None
        )
        old, new = _audible(recording)
        print(f"silent {old[1] - killed_at:.2f} s, going on {new[0] - killed_at:.2f} s after")
        assert killed_at - 1.0 < old[1] <= killed_at + SILENT_S + MARGIN_S
        assert new[0] > old[1], "two avatars are audible"
        await _heard_is_history(one, spoken.end, killed_at)
        await one.ask("Could you please tell me some more?")
        assert (await one.over(2)).heard_text == "Good night."
        assert world.model.requests[-1].messages[1:][1] == ("assistant", LONG)
        assert len(world.model.requests) == 2, "nothing heard is generated again"


async def _heard_is_history(one: Talk, since: float, killed_at: float) -> None:
    """The old voice said the beginning; the new one all from the repeated sentence on."""
    recording = one.caller.recording
    said = [noted.event.agent for noted in one.all(is_kind("agent"))]
    repeated = [it.sentence for it in said if it.repeated]
    assert len(repeated) == 1
    seam = _audible(recording)[1][0] - 0.1
    before = await understood(recording, since, seam)
    after = await understood(recording, seam, recording.end)
    print("before:", before, "| after:", after)
    assert word_error_rate(" ".join(SENTENCES[repeated[0] :]), after) <= 0.3, after
    began = LONG.split()[: len(before.split())]
    # The word at the cut may be half a word.
    assert word_error_rate(" ".join(began), before) <= 0.35, before
    # No sentence is lost between them: what was cut is said again.
    assert len(before.split()) >= len(" ".join(SENTENCES[: repeated[0]]).split()) - 1


def _plays(sentence: int) -> Match:
    step = api.AgentEvent.STEP_PLAYBACK
    return lambda event: event.agent.step == step and event.agent.sentence == sentence
