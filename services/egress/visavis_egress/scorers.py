"""The ports of what tells whether a person has finished; both answer None rather than late."""

from typing import Protocol


class TextScorer(Protocol):
    """Judges by the words."""

    async def score(self, session_id: str, text: str, before: str) -> float | None:
        """Probability, 0 to 1, that nothing follows `text`; `before`: what the avatar said last.

        None: nobody could tell in time. Never raises.
        """


class SoundScorer(Protocol):
    """Judges by the sound; shared by all sessions of the process."""

    async def score(self, pcm: bytes) -> float | None:
        """Probability, 0 to 1, that the turn in `pcm` (mono s16le at 16 kHz) is finished.

        Ask once, at about 200 ms of silence, with that silence at the end. None: too many ask, or
        there is nothing to judge. Never raises, never waits for another's score.
        """
