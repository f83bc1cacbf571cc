"""Turns that are not being answered yet, and what a successor knows of them."""

from dataclasses import dataclass, field

from visavis_egress.conversation.commands import Anchors, Origin


@dataclass(slots=True)
class Turn:
    """Something to be answered or said."""

    number: int
    origin: Origin
    text: str
    anchors: Anchors
    request_id: str = ""
    failure: str = ""
    """Why there is nothing to answer: the person hears the apology."""
    sentences: tuple[str, ...] = ()
    """What a holder before this one had of the answer."""
    is_complete: bool = False
    """Those sentences are the whole answer."""
    heard: int = 0
    """How many of them were spoken to their end."""
    protected: str = ""
    """Its first words, or all of them: speech does not stop those."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a successor found in the checkpoint and the streams."""

    history: tuple[tuple[str, str], ...] = ()
    next_turn: int = 0
    open_turns: tuple[Turn, ...] = field(default=())
    """Committed and not finished, oldest first."""
    elapsed_s: float = 0.0
    """How long the session has been going on."""
