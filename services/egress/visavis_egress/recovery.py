"""What a new holder learns from the streams: pure folds over the session's events and results."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation.commands import SAID, Anchors
from visavis_egress.conversation.history import Entry, History
from visavis_egress.conversation.turns import Recovered, Turn
from visavis_egress.records import ORIGINS
from visavis_runtime.bus import Stored

_OVER = (api.TurnEvent.STEP_INTERRUPTED, api.TurnEvent.STEP_COMPLETED)
_ORIGIN_OF = {number: origin for origin, number in ORIGINS.items()}

TAKE_OVER_WINDOW_S = 300.0
MAX_TAKE_OVERS = 3


@dataclass(slots=True)
class Past:
    """Everything the event stream tells about a session, in the order of its sequence."""

    history: list[Entry] = field(default_factory=list)
    open_turns: dict[int, pb.EventRecord] = field(default_factory=dict)
    """The records of their commits."""
    reached: dict[int, int] = field(default_factory=dict)
    """The sentence that playback of a turn had reached."""
    next_turn: int = 0
    began_at_s: float = 0.0
    ended: int | None = None
    """The EndReason, once `session ended` is written."""
    was_ready: bool = False
    requests: dict[str, int] = field(default_factory=dict)
    """The turn that each caller's request id has made."""
    crashes_s: list[float] = field(default_factory=list)
    """When leases were taken over from holders that had not released them, since the last turn."""

    @property
    def is_poisonous(self) -> bool:
        """Workers keep dying with this session and no turn gets finished."""
        if len(self.crashes_s) < MAX_TAKE_OVERS:
            return False
        return self.crashes_s[-1] - self.crashes_s[-MAX_TAKE_OVERS] <= TAKE_OVER_WINDOW_S


def fold(stored: Iterable[Stored]) -> Past:
    """Read the events of one session from its beginning."""
    past = Past()
    released = True
    for message in stored:
        record = pb.EventRecord.FromString(message.data)
        past.began_at_s = past.began_at_s or message.time_s
        fact = record.WhichOneof("fact")
        if fact == "lease":
            released = _fold_lease(past, record.lease, message.time_s, released)
        elif fact == "checkpoint":
            past.history = [(entry.role, entry.content) for entry in record.checkpoint.history]
        elif fact == "event":
            _fold_event(past, record)
    return past


def _fold_lease(past: Past, lease: pb.Lease, time_s: float, was_released: bool) -> bool:
    if not lease.released and not was_released:
        past.crashes_s.append(time_s)
    return lease.released


def _fold_event(past: Past, record: pb.EventRecord) -> None:
    event = record.event
    kind = event.WhichOneof("kind")
    if kind == "turn":
        _fold_turn(past, record)
    elif kind == "agent" and event.agent.step == api.AgentEvent.STEP_PLAYBACK:
        past.reached[event.agent.turn] = event.agent.sentence
    elif kind == "session":
        past.was_ready = True
        if event.session.step == api.SessionChanged.STEP_ENDED:
            past.ended = event.session.reason


def _fold_turn(past: Past, record: pb.EventRecord) -> None:
    turn = record.event.turn
    past.next_turn = max(past.next_turn, turn.turn + 1)
    if turn.step == api.TurnEvent.STEP_COMMITTED:
        past.open_turns[turn.turn] = record
        if turn.request_id:
            past.requests[turn.request_id] = turn.turn
    elif turn.step in _OVER:
        past.open_turns.pop(turn.turn, None)
        past.crashes_s.clear()
        # The checkpoint that follows says the same; it may have died with its writer.
        history = History(past.history)
        if _ORIGIN_OF[turn.origin] not in SAID:
            history.add("user", turn.input_text)
        history.add("assistant", turn.heard_text)
        past.history = list(history.entries)


def recovered(past: Past, last_result: bytes | None, now: float, stream_time_s: float) -> Recovered:
    """The start of a new holder's conversation.

    `last_result` is the session's last generation result: what there was of the answer that was
    under way. Nothing heard is generated again; what was under way is spoken from the beginning of
    the sentence that playback had reached.
    """
    turns = [_open_turn(record, now) for _, record in sorted(past.open_turns.items())]
    if turns and last_result:
        result = pb.GenerateResult.FromString(last_result)
        number = turns[0].number
        # Lower epochs were begun on other words.
        is_its_own = result.address.epoch >= past.open_turns[number].floor
        if result.address.turn == number and is_its_own and result.sentences:
            reached = past.reached.get(turns[0].number, 0)
            turns[0] = replace(
                turns[0],
                sentences=tuple(result.sentences),
                is_complete=result.complete or result.HasField("error"),
                heard=min(reached, len(result.sentences) - 1),
            )
    elapsed_s = max(0.0, stream_time_s - past.began_at_s)
    return Recovered(tuple(past.history), past.next_turn, tuple(turns), elapsed_s)


def _open_turn(record: pb.EventRecord, now: float) -> Turn:
    turn = record.event.turn
    is_lost = turn.origin == api.TurnEvent.ORIGIN_SPEECH and not turn.input_text
    return Turn(
        turn.turn,
        _ORIGIN_OF[turn.origin],
        turn.input_text,
        Anchors(now),
        turn.request_id,
        failure="ASR_FAILED" if is_lost else "",
        protected=record.protected_text,
    )
