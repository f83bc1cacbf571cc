"""An answer cut off by the person, and what can be measured of it."""

from dataclasses import dataclass

from tests.support.conversation import Talk
from tests.support.listener import understood
from tests.support.openai_server import Reply
from visavis.session.v1 import session_pb2 as api

SILENCE_DBFS = -50.0
OLD = (
    "A whale is the largest animal in the sea. It breathes air like a horse or a dog. "
    "The mother feeds her child with milk for a year. In winter they swim to warm water. "
    "Their songs can be heard by other whales far away."
)
NEW = "A mouse is a very small animal."


@dataclass(frozen=True)
class BargeIn:
    """What became of the old answer and of the one to the interruption."""

    level_before_dbfs: float
    """How loud it was in the half second before the person spoke."""
    silence_after_s: float
    """From the onset of the person's speech to the last sound of the old answer."""
    cut: api.TurnEvent
    heard_before: str
    heard_after: str
    new: api.TurnEvent
    new_request: list[tuple[str, str]]


async def barge_in(one: Talk, turn: int) -> BargeIn:
    """Ask (as turn `turn`), talk into the middle of the answer, and hear the next one out."""
    model, recording = one.world.model, one.caller.recording
    model.replies.extend((Reply(OLD), Reply(NEW)))
    asked = await one.ask("Tell me something about the animals in the sea.")
    await one.committed(turn)
    sound = recording.first_audible_after
    await one.caller.until(lambda: sound(asked.end) is not None, 15)
    began = sound(asked.end)
    assert began
    await one.caller.until(lambda: recording.end > began + 4)
    spoken = await one.ask("Wait a moment, I would rather know what a mouse is.")
    cut, new = await one.over(turn), await one.over(turn + 1)
    await one.caller.until(lambda: recording.silent_from(spoken.end + 1, for_s=0.5) is not None)
    # Till the end of the person's words: a pause between two sentences is no silence.
    last = recording.last_audible_before(spoken.end, SILENCE_DBFS) or spoken.start
    return BargeIn(
        level_before_dbfs=recording.level(spoken.start - 0.5, spoken.start),
        silence_after_s=last - spoken.start,
        cut=cut,
        heard_before=await understood(recording, began, spoken.end),
        heard_after=await understood(recording, spoken.end, recording.end),
        new=new,
        new_request=model.requests[-1].messages,
    )
