"""Who has the floor: signs of attention, interruptions, and what may not be interrupted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import numpy as np
import pytest
import pytest_asyncio

from tests.support.conversation import NOVA, Talk, World, is_avatar, is_kind, talk
from tests.support.listener import heard, understood
from tests.support.openai_server import Reply
from tests.support.recording import RATE_HZ, audible_s, voiced
from tests.support.sim import Sim
from tests.support.synthesised import Synthesised, synthesised
from tests.support.voices import speak_all
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.audio,
    pytest.mark.slow,
]

COMPLETED, INTERRUPTED = api.TurnEvent.STEP_COMPLETED, api.TurnEvent.STEP_INTERRUPTED
LONG = (
    "The river begins as a small spring in the hills. It runs through three villages and a wood. "
    "Then it turns to the south and grows wide. In the end it reaches the sea."
)
NOTICE = "This conversation is recorded, and the recording is deleted after thirty days."
GUARD_S = 3.0
GAP_S = 0.06
SIGNS = ("Okay, sure.", "Yeah.")
STOP = "Stop that now, I would rather hear a story."
SHOP, MUSEUM = "When does the shop close?", "When does the museum close tonight?"
Face = Literal["avatar", "voice alone"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def _voices() -> None:
    """What the person says is there before it is time to say it."""
    await asyncio.to_thread(speak_all, (*SIGNS, STOP, SHOP, MUSEUM))


@asynccontextmanager
async def _talk(world: World, face: Face, greeting: str = "") -> AsyncIterator[Talk]:
    """With a face, or without one since the vendor refuses it."""
    sim = Sim(world.stack.layout.motion_sim_url)
    is_refused = face == "voice alone"
    if is_refused:
        await sim.order(refuse_next={"code": 4001, "message": "no credits", "count": 1})
    try:
        async with talk(world, greeting=greeting) as one:
            if is_refused:
                await one.event("the voice alone", is_avatar(api.AvatarEvent.STEP_FALLBACK))
            await one.seated()
            yield one
    finally:
        await sim.reset()


async def _plays(one: Talk, seconds: float) -> float:
    """Returns once so much of what is just beginning was heard; when its first sound was."""
    recording, asked_at = one.caller.recording, one.caller.recording.end
    await one.caller.until(lambda: recording.first_audible_after(asked_at) is not None, 15)
    began = recording.first_audible_after(asked_at)
    assert began
    await one.caller.until(lambda: recording.end > began + seconds, 15)
    return began


async def _typed(one: Talk, question: str) -> int:
    one.world.model.replies.append(Reply(LONG))
    return await one.world.api.send_text(one.session_id, question)


def _made_s(made: Synthesised, turn: int) -> float:
    """How much of the turn's sound is audible."""
    return audible_s(np.concatenate(made.sentences(turn)), RATE_HZ)


def _turns(one: Talk) -> list[int]:
    return sorted({noted.event.turn.turn for noted in one.all(is_kind("turn"))})


async def test_a_long_answer_has_no_gaps_of_its_own(world: World) -> None:
    """Against what was synthesised, pauses included; a worker that keeps up is part of it."""
    async with _talk(world, "avatar") as one, synthesised(one) as made:
        turn = await _typed(one, "Tell me about the river.")
        began = await _plays(one, 1.0)
        outcome = await one.over(turn)
        assert (outcome.step, outcome.heard_text) == (COMPLETED, LONG)
        words = await heard(one.caller, began - 0.2)
        recording = one.caller.recording
        listened = voiced(recording.samples(began - 0.1, recording.end), RATE_HZ)
    assert word_error_rate(LONG, words) <= 0.15, words
    sentences = made.sentences(turn)
    spoken = voiced(np.concatenate(sentences), RATE_HZ)
    added_s = ((listened[1] - listened[0]) - (spoken[1] - spoken[0])) / RATE_HZ
    late_s = _late_s(made, turn, began)
    print(f"added to {len(sentences)} sentences: {added_s:.3f} s; {late_s:.2f} s by a late worker")
    assert added_s - late_s <= 2 * GAP_S


def _late_s(made: Synthesised, turn: int, began: float) -> float:
    """How long the avatar waited for the first sounds of sentences."""
    waited_s, due = 0.0, began
    for number, samples in enumerate(made.sentences(turn)):
        lateness = made.first_at[turn, number] - due
        waited_s += max(0.0, lateness) if number else 0.0
        due += max(0.0, lateness) * bool(number) + len(samples) / RATE_HZ
    return waited_s


@pytest.mark.parametrize("face", ["avatar", "voice alone"])
async def test_signs_of_attention_do_not_take_the_turn(world: World, face: Face) -> None:
    async with _talk(world, face) as one, synthesised(one) as made:
        turn = await _typed(one, "Tell me about the river.")
        began = await _plays(one, GUARD_S + 0.3)
        await one.ask(SIGNS[0])
        await one.event("the answer goes on", _is_resumed)
        await _plays(one, 1.0)
        await one.ask(SIGNS[1])
        outcome = await one.over(turn)
        assert (outcome.step, outcome.heard_text) == (COMPLETED, LONG)
        words = await heard(one.caller, began - 0.2)
        recording = one.caller.recording
        heard_s = audible_s(recording.samples(began - 0.1, recording.end), RATE_HZ)
        for resumed in one.all(_is_resumed):
            told_at = resumed.stored
            sound = recording.first_audible_after(told_at)
            assert sound
            holes = recording.gaps(told_at - 2, told_at + 2, longer_than_s=0.3)
            silent_s = round(max(holes, default=0.0), 2)
            print(f"{face}: sound {sound - told_at:.3f} s after the verdict, {silent_s} s silent")
            assert sound - told_at < 2
        assert _turns(one) == [turn], "it was taken for a turn"
        assert not [error for error in one.errors if error.code != "4001"], one.errors
    assert word_error_rate(LONG, words) <= 0.15, words
    print(f"{face}: heard {heard_s:.2f} s of {_made_s(made, turn):.2f} s")
    assert abs(heard_s - _made_s(made, turn)) <= 0.3


def _is_resumed(event: api.SessionEvent) -> bool:
    is_turn = event.WhichOneof("kind") == "turn"
    return is_turn and event.turn.step == api.TurnEvent.STEP_RESUMED


async def _interrupt(one: Talk, after_s: float) -> float:
    """Talk into a text that is being said; how long after the first word it was silent."""
    turn = await one.say(LONG)
    await _plays(one, after_s)
    one.world.model.replies.append(Reply("Fine."))
    spoken = await one.ask(STOP)
    cut, answered = await one.over(turn), await one.over(turn + 1)
    assert cut.step == INTERRUPTED
    assert LONG.startswith(cut.heard_text)
    assert "story" in answered.input_text.lower()
    assert answered.heard_text == "Fine."
    last = one.caller.recording.last_audible_before(spoken.end, -50.0) or spoken.start
    assert one.caller.recording.level(spoken.start - 0.5, spoken.start) > -45
    return last - spoken.start


async def test_the_first_interruption_is_as_quick_as_later_ones(world: World) -> None:
    async with _talk(world, "avatar") as one:
        first = await _interrupt(one, GUARD_S + 0.3)
        later = await _interrupt(one, 1.5)
    async with _talk(world, "avatar") as one:
        guarded = await _interrupt(one, 0.8)
    print(f"silent after: first {first:.3f} s, later {later:.3f} s, guarded {guarded:.3f} s")
    assert 0 < first < later + 0.3
    assert 0 < guarded < later + 0.5


async def test_a_notice_is_heard_to_its_end_and_calls_stop_it(world: World) -> None:
    async with _talk(world, "avatar") as one:
        sid = one.session_id
        notice = await world.api.say(sid, NOTICE, uninterruptible=True)
        began = await _plays(one, 0.8)
        await _asked_meanwhile(one, notice)
        words = await heard(one.caller, began - 0.2)
        assert word_error_rate(f"{NOTICE} At nine.", words) <= 0.2, words
        again = await world.api.say(sid, NOTICE, uninterruptible=True)
        await _plays(one, 0.5)
        assert (await world.api.interrupt(sid)).interrupted
        stopped = await one.over(again)
        assert stopped.step == INTERRUPTED
        assert len(stopped.heard_text) < len(NOTICE)
        # A session that is not to be interrupted says everything so.
        await world.api.update(sid, turn_taking=api.TurnTaking(interruptible=False))
        usual = await world.api.say(sid, NOTICE)
        await _plays(one, 0.3)
        await _asked_meanwhile(one, usual)


async def _asked_meanwhile(one: Talk, notice: int) -> None:
    """A question while a notice is read out: it is heard to its end, and then answered."""
    one.world.model.replies.append(Reply("At nine."))
    await one.ask(SHOP)
    over = (noted.event.turn for noted in one.all(is_kind("turn")) if noted.event.turn.heard_text)
    assert notice not in {turn.turn for turn in over}, "it was over already"
    told, answered = await one.over(notice), await one.over(notice + 1)
    assert (told.step, told.heard_text) == (COMPLETED, NOTICE)
    assert (answered.origin, answered.step) == (api.TurnEvent.ORIGIN_SPEECH, COMPLETED)
    assert answered.heard_text == "At nine."


async def test_that_it_is_an_ai_is_heard_though_somebody_speaks(world: World) -> None:
    disclosure = NOVA.phrases.spoken_disclosure
    async with talk(world, greeting="Good evening, and welcome to the old museum.") as one:
        await one.committed(0)
        began = await _plays(one, 0.1)
        world.model.replies.append(Reply("At nine."))
        spoken = await one.ask(MUSEUM)
        greeted, answered = await one.over(0), await one.over(1)
        assert greeted.heard_text.startswith(disclosure)
        assert "close" in answered.input_text.lower()
        assert answered.heard_text == "At nine."
        words = await understood(one.caller.recording, began - 0.2, spoken.end + 0.5)
        assert "talking with an ai" in words.lower()
        print("heard of the greeting:", greeted.heard_text)
