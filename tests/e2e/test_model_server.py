"""The language model fails: the person hears an apology, and the next turn works."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.support.conversation import Talk, World, running_world, talk
from tests.support.listener import heard
from tests.support.openai_server import Reply
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.audio,
    pytest.mark.slow,
]

APOLOGY = "I am sorry, something went wrong just now. Could you say that again, please?"
ANSWER = "Tea is made of leaves and hot water."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """A model server is given up sooner than in production."""
    async with running_world({"VISAVIS_LLM_TOKEN_TIMEOUT_S": "3"}) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(world: World) -> AsyncIterator[Talk]:
    """One session that lives through everything."""
    async with talk(world) as talking:
        await talking.seated()
        yield talking


@pytest.mark.parametrize(
    ("turn", "fault", "code"),
    [
        (1, "refused", "SERVER_DOWN"),
        (3, "status 500", "SERVER_ERROR"),
        (5, "silent", "TIMEOUT"),
    ],
)
async def test_a_failing_model_server_costs_one_turn(
    one: Talk, turn: int, fault: str, code: str
) -> None:
    model = one.world.model
    broken = {"status 500": Reply(status=500), "silent": Reply("Tea is", fault="stall")}
    model.choose = lambda _: broken[fault]
    async with AsyncExitStack() as faults:
        if fault == "refused":
            await faults.enter_async_context(model.down())
        spoken = await one.ask("How do you make tea?")
        sorry = await one.over(turn)
    assert (sorry.step, sorry.heard_text) == (api.TurnEvent.STEP_COMPLETED, APOLOGY)
    error = one.errors[-1]
    assert (error.stage, error.turn, error.apologised) == ("llm", turn, True)
    assert code in error.code
    words = await heard(one.caller, spoken.end)
    assert word_error_rate(APOLOGY, words) <= 0.25, words

    model.choose = lambda _: Reply(ANSWER)
    await one.ask("How do you make tea?")
    answered = await one.over(turn + 1)
    assert (answered.step, answered.heard_text) == (api.TurnEvent.STEP_COMPLETED, ANSWER)
    assert len(one.errors) == (turn + 1) // 2


async def test_an_answer_that_breaks_off_is_spoken_as_far_as_it_came(one: Talk) -> None:
    count = len(one.errors)
    text = "Tea is made of leaves. Coffee is made of beans that grow in warm countries."
    one.world.model.choose = lambda _: Reply(text, fault="cut", fault_after=8)
    await one.ask("How do you make tea?")
    outcome = await one.over(7)
    assert outcome.heard_text == "Tea is made of leaves."
    assert [error.apologised for error in one.errors[count:]] in ([], [False])
