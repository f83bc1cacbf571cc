"""One session's questions to the scorers of the turn's end."""

from collections.abc import Callable

from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.scorers import SoundScorer, TextScorer


class Scoring:
    """Asks, and tells the conversation; without a scorer it says at once that there is none."""

    def __init__(
        self,
        session_id: str,
        text: TextScorer | None,
        sound: SoundScorer | None,
        feed: Callable[[on.Event], None],
    ) -> None:
        self._id, self._text, self._sound, self._feed = session_id, text, sound, feed

    async def text(self, command: do.ScoreText) -> None:
        """Score the words of a snapshot."""
        found = None
        if self._text:
            found = await self._text.score(self._id, command.text, command.before)
        self._feed(on.TextScored(command.revision, found))

    async def sound(self, command: do.ScoreSound) -> None:
        """Score the sound of a snapshot."""
        found = await self._sound.score(command.pcm) if self._sound else None
        self._feed(on.SoundScored(command.revision, found))
