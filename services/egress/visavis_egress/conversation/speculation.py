"""An answer that is made before its turn is over: whole, but silent, and perhaps for nothing."""

from visavis_egress.conversation import commands as do
from visavis_egress.conversation.answer import Answer
from visavis_egress.conversation.backchannel import normalised
from visavis_egress.conversation.commands import Command, Origin
from visavis_egress.conversation.turns import Turn

_WORK = (do.Generate, do.Synthesize, do.RepairSpeech)

Basis = tuple[object, ...]
"""What an answer depends on besides the words: where it differs, the draft is another answer."""


class Draft:
    """Holds back what an answer wants to tell until its turn is committed."""

    def __init__(self, answer: Answer, words: str, basis: Basis) -> None:
        self.answer, self._basis = answer, basis
        self._words = normalised(words)
        self._untold: list[Command] = []
        self.is_committed = False
        """Its turn is being stored: nothing the person says makes it void any more."""

    def says(self, words: str) -> bool:
        """It answers these words."""
        return normalised(words) == self._words

    def answers(self, turn: Turn, basis: Basis) -> bool:
        """It is the answer of this turn, and nothing has gone wrong with it."""
        is_its_turn = turn.number == self.answer.turn and turn.origin is Origin.SPEECH
        is_well = not self.answer.failure and not turn.failure
        return is_its_turn and is_well and basis == self._basis and self.says(turn.text)

    def hold(self, commands: list[Command]) -> list[Command]:
        """The work among the commands; the rest is told at the release."""
        self._untold += [command for command in commands if not isinstance(command, _WORK)]
        return [command for command in commands if isinstance(command, _WORK)]

    def release(self, turn: Turn, now: float) -> list[Command]:
        """The turn is committed: everything may be told and heard."""
        told, self._untold = self._untold, []
        used = do.CountSpeculation(self.answer.epoch, do.Speculation.USED)
        return [used, *told, *self.answer.release(turn, now)]
