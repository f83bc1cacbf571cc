"""When an answer is begun before its turn is over, and when that was for nothing."""

from visavis_egress.conversation.commands import Anchors, Command, Origin, Speculation
from visavis_egress.conversation.config import Timing
from visavis_egress.conversation.dialogue import Dialogue
from visavis_egress.conversation.recognition import Recognition
from visavis_egress.conversation.turns import Turn


class Drafting:
    """Begins to answer the words that may be all; stops when they are not."""

    def __init__(self, timing: Timing, recognition: Recognition, dialogue: Dialogue) -> None:
        self._timing, self._recognition, self._dialogue = timing, recognition, dialogue
        self._of_this_turn = self._of_this_session = 0

    def advance(self, now: float, turn: int, *, may_begin: bool) -> list[Command]:
        """`turn`: the number that the words would get if they were committed now."""
        if self._recognition.is_idle:
            self._of_this_turn = 0
        outcome, out = self._outcome(), list[Command]()
        if outcome:
            out += self._dialogue.drop_draft(outcome)
        words = self._recognition.words
        if words and may_begin and self._may_begin and self._recognition.are_worth_answering(now):
            self._of_this_turn += 1
            self._of_this_session += 1
            out += self._dialogue.speculate(Turn(turn, Origin.SPEECH, words, Anchors(now)), now)
        return out

    def _outcome(self) -> Speculation | None:
        """Why the draft that there is has become void; None: it has not."""
        draft, words = self._dialogue.draft, self._recognition.words
        if not draft or draft.is_committed:
            return None
        if words is not None and not draft.says(words):
            return Speculation.CHANGED
        if self._recognition.spoken_on_s >= self._timing.speaks_on_s:
            return Speculation.WENT_ON
        return Speculation.DROPPED if self._recognition.is_idle else None

    @property
    def _may_begin(self) -> bool:
        is_free = not (self._dialogue.has_work or self._dialogue.draft)
        is_within = (
            self._of_this_turn < self._timing.speculations_a_turn
            and self._of_this_session < self._timing.speculations_a_session
        )
        return self._recognition.taking.speculation and is_free and is_within
