"""What a session asks the scorers, and that it waits for none that is not there."""

from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.scoring import Scoring

WORDS = do.ScoreText(3, "How are you?", "Hello.")
SOUND = do.ScoreSound(3, b"sound")


class Scorer:
    """Notes what it is asked."""

    def __init__(self, found: float | None) -> None:
        self.found = found
        self.asked: list[tuple[object, ...]] = []

    async def score(self, *asked: object) -> float | None:
        self.asked.append(asked)
        return self.found


async def test_the_scores_of_a_snapshot_are_told() -> None:
    words, sound, told = Scorer(0.7), Scorer(0.2), list[on.Event]()
    scoring = Scoring("sid", words, sound, told.append)
    await scoring.text(WORDS)
    await scoring.sound(SOUND)
    assert told == [on.TextScored(3, 0.7), on.SoundScored(3, 0.2)]
    assert words.asked == [("sid", "How are you?", "Hello.")]
    assert sound.asked == [(b"sound",)]


async def test_without_scorers_it_is_said_at_once_that_there_is_no_score() -> None:
    told: list[on.Event] = []
    scoring = Scoring("sid", None, None, told.append)
    await scoring.text(WORDS)
    await scoring.sound(SOUND)
    assert told == [on.TextScored(3, None), on.SoundScored(3, None)]
