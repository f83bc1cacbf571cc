"""What a successor does with the turns that the holder before it left open."""

from typing import Any

from tests.unit.egress.conversation.driver import PERSONA, Stage
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Anchors, Origin
from visavis_egress.conversation.turns import Recovered, Turn
from visavis_runtime import subjects

HISTORY = (("user", "Hi."), ("assistant", "Hello."))


def recovered(*turns: Turn, next_turn: int = 4, elapsed_s: float = 600.0) -> Stage:
    return Stage(
        PERSONA,
        generation=2,
        recovered=Recovered(HISTORY, next_turn, turns, elapsed_s),
    )


def open_turn(number: int = 3, **known: Any) -> Turn:
    return Turn(number, Origin.SPEECH, "Why?", Anchors(1000.0), **known)


def test_the_session_goes_on_though_the_person_is_noticed_only_later() -> None:
    stage = recovered()
    stage.wait(30)
    assert not stage.all(do.EndSession)
    stage.seat()
    stage.say("And now?")
    assert stage.last(do.Commit).turn == 4
    ask = stage.last(do.Generate)
    assert ask.messages == (("system", "Be kind."), *HISTORY, ("user", "And now?"))
    assert ask.epoch == subjects.epoch(2, 1)


def test_a_turn_without_an_answer_is_asked_again_under_the_new_generation() -> None:
    stage = recovered(open_turn()).seat()
    assert not stage.all(do.Commit)
    assert stage.all(do.Generate) == [
        do.Generate(3, subjects.epoch(2, 1), (("system", "Be kind."), *HISTORY, ("user", "Why?")))
    ]


def test_a_whole_answer_is_spoken_on_from_the_first_unheard_sentence() -> None:
    texts = ("One.", "Two.", "Three.")
    stage = recovered(open_turn(sentences=texts, is_complete=True, heard=1))
    stage.feed(on.PersonJoined())
    epoch = subjects.epoch(2, 1)
    # Asked for before there is an avatar to say it.
    assert stage.all(do.Synthesize)[1:] == [
        do.Synthesize(3, epoch, 1, 0, "Two."),
        do.Synthesize(3, epoch, 2, 0, "Three."),
    ]
    stage.feed(on.AvatarReady())
    pcm = stage.synthesize(epoch, 1, 1.0, 1) + stage.synthesize(epoch, 2, 1.0, 2)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(4)
    assert not stage.all(do.Generate)
    assert len(stage.all(do.Synthesize)) == 3
    assert stage.played == pcm
    assert stage.all(do.RecordPlayback) == [
        do.RecordPlayback(3, 1, repeated=True),
        do.RecordPlayback(3, 2, repeated=False),
    ]
    assert stage.last(do.RecordOutcome).heard_text == "One. Two. Three."
    assert stage.brain.history == (*HISTORY, ("user", "Why?"), ("assistant", "One. Two. Three."))


def test_an_unfinished_answer_is_continued_with_its_sentences_as_prefix() -> None:
    stage = recovered(open_turn(sentences=("One.", "Two."), heard=1)).seat()
    ask = stage.last(do.Generate)
    assert ask.prefix == ("One.", "Two.")
    assert stage.last(do.Synthesize) == do.Synthesize(3, ask.epoch, 1, 0, "Two.")
    stage.feed(on.SentencesReady(ask.epoch, ("One.", "Two.", "Three."), True))
    assert stage.all(do.RecordSentence) == [do.RecordSentence(3, 2, "Three.")]
    pcm = stage.synthesize(ask.epoch, 1) + stage.synthesize(ask.epoch, 2, 1.0, 2)
    stage.wait(6)
    assert stage.played == pcm


def test_an_unfinished_announcement_is_continued_verbatim() -> None:
    turn = Turn(3, Origin.SAY, "One. Two.", Anchors(1000.0), "r1", sentences=("One.",), heard=0)
    stage = recovered(turn).seat()
    ask = stage.last(do.Generate)
    assert (ask.verbatim, ask.prefix, ask.messages) == ("One. Two.", ("One.",), ())


def test_a_turn_that_was_not_understood_is_apologised_for() -> None:
    stage = recovered(open_turn(failure="ASR_FAILED")).seat()
    assert not stage.all(do.Generate)
    assert stage.last(do.RecordError).stage == "asr"
    assert stage.last(do.RecordError).apologised


def test_what_was_heard_before_counts_when_the_successor_is_interrupted_or_ended() -> None:
    known: dict[str, Any] = {"sentences": ("One.", "Two."), "is_complete": True, "heard": 1}
    interrupted = recovered(open_turn(**known)).seat()
    interrupted.feed(on.TextTyped("Stop."))
    assert interrupted.last(do.RecordOutcome).heard_text == "One."
    ended = recovered(open_turn(**known))
    ended.feed(on.EndRequested(1))
    assert ended.last(do.RecordOutcome).heard_text == "One."


def test_a_checkpoint_claims_no_turn_that_is_still_open() -> None:
    stage = recovered(open_turn(2), open_turn(3)).seat()
    assert stage.brain.checkpoint().turn == 1
    stage.answer("Because.", seconds=0.2)
    stage.wait(3)
    assert stage.last(do.SaveCheckpoint).turn == 2
    assert stage.last(do.Generate).turn == 3
