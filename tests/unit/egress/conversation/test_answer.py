"""One attempt at an answer: time-outs, repairs, gaps, the end."""

import pytest

from tests.unit.egress.conversation.driver import TIMING, seconds_of, sound
from visavis_egress.conversation import commands as do
from visavis_egress.conversation.answer import Answer
from visavis_egress.conversation.commands import Anchors, Command, Origin
from visavis_egress.conversation.turns import Turn

EPOCH = 5


class Rehearsal:
    """An answer that was asked for, on a fake clock."""

    def __init__(self, origin: Origin = Origin.SPEECH) -> None:
        self.now = 100.0
        self.answer = Answer(Turn(3, origin, "What?", Anchors(99.0)), EPOCH, 1, TIMING)
        self.answer.asked(self.now)
        self.out: list[Command] = []

    def wait(self, seconds: float) -> list[Command]:
        before = len(self.out)
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += 0.05
            self.out += self.answer.advance(self.now)
        return self.out[before:]

    def sentences(self, *texts: str, complete: bool = True) -> list[Command]:
        new = self.answer.add_sentences(texts, complete, self.now)
        self.out += new
        return new

    def speak(self, index: int, seconds: float, *, end: bool = True) -> None:
        samples = round(seconds * 24_000)
        self.answer.add_speech(index, 0, sound(index, samples), self.now)
        if end:
            self.out += self.answer.end_speech(index, samples)

    def of(self, kind: type[Command]) -> list[Command]:
        return [command for command in self.out if isinstance(command, kind)]

    @property
    def played(self) -> bytes:
        return b"".join(c.pcm for c in self.out if isinstance(c, do.PlayAudio))

    @property
    def errors(self) -> list[str]:
        return [c.code for c in self.out if isinstance(c, do.RecordError)]


@pytest.fixture
def act() -> Rehearsal:
    return Rehearsal()


def test_without_a_first_sentence_an_answer_fails_after_ten_seconds(act: Rehearsal) -> None:
    act.wait(9.9)
    assert act.answer.failure is None
    act.wait(0.2)
    assert act.answer.failure == "LLM_TIMEOUT"


def test_without_a_further_sentence_an_answer_ends_with_an_error(act: Rehearsal) -> None:
    act.sentences("One.", complete=False)
    act.speak(0, 1)
    act.wait(12)
    assert act.errors == ["LLM_TIMEOUT"]
    assert act.of(do.EndAudio) == [do.EndAudio(1)]
    assert act.answer.failure is None


def test_a_complete_answer_without_a_sentence_fails(act: Rehearsal) -> None:
    act.sentences()
    assert act.answer.failure == "EMPTY_ANSWER"


def test_each_sentence_is_recorded_once(act: Rehearsal) -> None:
    assert act.sentences("One.", complete=False) == [do.RecordSentence(3, 0, "One.")]
    assert act.sentences("One.", "Two.", complete=False) == [do.RecordSentence(3, 1, "Two.")]
    assert act.sentences("One.", complete=False) == []


def test_speech_may_overtake_the_text(act: Rehearsal) -> None:
    act.speak(1, 0.5)
    act.speak(0, 0.5)
    act.sentences("One.", "Two.")
    act.wait(0.1)
    assert act.played == sound(0, 12_000) + sound(1, 12_000)


def test_an_end_mark_that_overtakes_text_and_sound_asks_for_a_repair(act: Rehearsal) -> None:
    act.answer.end_speech(0, 2400)
    assert do.RepairSpeech(EPOCH) in act.sentences("One.")


def test_a_gap_before_the_end_mark_is_repaired_and_looked_for_once(act: Rehearsal) -> None:
    act.sentences("One.")
    act.answer.add_speech(0, 2400, sound(1, 2400), act.now)
    assert act.answer.end_speech(0, 4800) == [do.RepairSpeech(EPOCH)]
    # The search brings the same mark again: that must not begin another search.
    assert act.answer.end_speech(0, 4800) == []
    act.answer.add_speech(0, 0, sound(2, 2400), act.now)
    act.wait(0.1)
    assert act.played == sound(2, 2400) + sound(1, 2400)


def test_a_silent_sentence_is_asked_for_once_more_and_then_left_out(act: Rehearsal) -> None:
    act.sentences("One.", "Two.")
    act.speak(1, 0.5)
    assert act.wait(4.9) == []
    assert act.wait(0.2) == [do.RepairSpeech(EPOCH), do.Synthesize(3, EPOCH, 0, 1, "One.")]
    act.wait(4.9)
    assert act.errors == []
    act.wait(0.2)
    assert act.errors == ["TTS_TIMEOUT"]
    assert act.played == sound(1, 12_000)
    assert act.of(do.EndAudio)


def test_a_missing_end_mark_is_asked_for_and_then_the_sentence_ends_where_it_is(
    act: Rehearsal,
) -> None:
    act.sentences("One.")
    act.speak(0, 1, end=False)
    act.wait(5.1)
    assert act.of(do.Synthesize) == [do.Synthesize(3, EPOCH, 0, 1, "One.")]
    assert not act.of(do.EndAudio)
    act.wait(5.1)
    assert act.errors == ["TTS_TIMEOUT"]
    assert act.of(do.EndAudio)
    assert act.answer.heard == "One."


def test_the_second_attempt_fills_what_the_first_left_open(act: Rehearsal) -> None:
    act.sentences("One.")
    act.answer.add_speech(0, 0, sound(1, 24_000)[:24_000], act.now)
    act.wait(5.1)
    act.answer.add_speech(0, 0, sound(1, 24_000), act.now)
    act.answer.end_speech(0, 24_000)
    act.wait(3)
    assert act.played == sound(1, 24_000)
    assert act.errors == []


def test_sound_on_its_way_puts_the_time_out_off(act: Rehearsal) -> None:
    act.sentences("One.")
    for index in range(5):
        act.wait(3)
        act.answer.add_speech(0, index * 2400, sound(1, 2400), act.now)
    assert not act.of(do.Synthesize)


def test_a_later_sentence_has_its_full_time_from_when_it_is_needed(act: Rehearsal) -> None:
    act.sentences("One.", "Two.")
    act.speak(0, 8)
    act.wait(8)
    assert not act.of(do.Synthesize)
    act.wait(5)
    assert act.of(do.Synthesize) == [do.Synthesize(3, EPOCH, 1, 1, "Two.")]


def test_a_failed_sentence_is_left_out_at_once_and_once(act: Rehearsal) -> None:
    act.sentences("One.", "Two.")
    act.speak(1, 0.5)
    assert act.answer.fail_speech(7, "X") == []
    assert act.answer.fail_speech(0, "ENGINE_FAILED") == [
        do.RecordError("tts", "ENGINE_FAILED", "sentence 0 was left out", 3)
    ]
    assert act.answer.fail_speech(0, "ENGINE_FAILED") == []
    act.speak(0, 1)
    act.wait(4)
    assert act.played == sound(1, 12_000)
    assert act.answer.heard == "Two."


def test_an_answer_of_which_nothing_can_be_spoken_fails(act: Rehearsal) -> None:
    act.sentences("One.")
    act.answer.fail_speech(0, "X")
    act.wait(0.1)
    assert act.answer.failure == "NO_SPEECH"
    assert not act.of(do.EndAudio)


def test_generation_that_fails_after_a_sentence_ends_the_answer_there(act: Rehearsal) -> None:
    act.sentences("One.", complete=False)
    act.speak(0, 0.5)
    assert [type(c) for c in act.answer.fail_generation("GONE")] == [do.RecordError]
    act.wait(0.1)
    assert act.of(do.EndAudio) == [do.EndAudio(1)]


def test_nothing_is_added_to_an_answer_that_ended(act: Rehearsal) -> None:
    act.sentences("One.", complete=False)
    act.speak(0, 0.5)
    act.speak(1, 0.5)
    act.answer.fail_generation("GONE")
    act.wait(0.1)
    assert act.sentences("One.", "Two.") == []
    assert act.answer.fail_generation("GONE") == []
    act.wait(5)
    assert act.played == sound(0, 12_000)
    assert len(act.of(do.EndAudio)) == 1


@pytest.mark.parametrize("origin", [Origin.SPEECH, Origin.TEXT])
def test_an_answer_is_cut_at_a_sentence_after_60_seconds(origin: Origin) -> None:
    act = Rehearsal(origin)
    texts = tuple(f"Sentence {index}." for index in range(30))
    act.sentences(*texts[:8], complete=False)
    for index in range(30):
        act.speak(index, 9)
    act.wait(0.05)
    act.answer.playback_started(act.now)
    act.wait(57)
    act.sentences(*texts)
    act.wait(30)
    assert seconds_of(act.played) == pytest.approx(63)
    assert act.errors == ["ANSWER_CUT"]
    assert len(act.of(do.EndAudio)) == 1
    assert act.sentences(*texts) == []  # what comes after the cut is not taken up again
    act.wait(5)
    assert seconds_of(act.played) == pytest.approx(63)
    assert act.errors == ["ANSWER_CUT"]


def test_a_text_that_is_to_be_said_is_not_cut() -> None:
    act = Rehearsal(Origin.SAY)
    act.sentences(*(f"Sentence {index}." for index in range(8)))
    for index in range(8):
        act.speak(index, 10)
    act.wait(0.05)
    act.answer.playback_started(act.now)
    act.wait(82)
    assert act.answer.is_finished
    assert seconds_of(act.played) == pytest.approx(80)
    assert act.errors == []


def test_an_answer_without_any_report_of_playback_ends_by_our_clock(act: Rehearsal) -> None:
    act.sentences("One.")
    act.speak(0, 1)
    seen = []
    for seconds in (1.4, 0.2, 1.7, 0.4):
        act.wait(seconds)
        seen.append((act.answer.is_audible, act.answer.is_finished))
    assert seen == [(False, False), (True, False), (True, False), (True, True)]
    assert act.answer.heard == "One."


def test_a_report_of_the_end_ends_an_answer_even_when_that_of_the_start_was_lost(
    act: Rehearsal,
) -> None:
    act.sentences("One.")
    act.speak(0, 1)
    act.wait(1.2)
    act.answer.playback_finished(act.now)
    assert act.answer.is_finished
    act.wait(0.05)
    assert do.RecordPlayback(3, 0, False) in act.out
    assert act.answer.anchors.playback_started is not None


def test_a_report_of_the_end_before_everything_was_handed_over_ends_nothing(
    act: Rehearsal,
) -> None:
    act.sentences("One.", complete=False)
    act.speak(0, 1)
    act.wait(0.1)
    act.answer.playback_finished(act.now)
    assert not act.answer.is_finished


def test_a_report_of_the_start_without_sound_is_another_answers(act: Rehearsal) -> None:
    act.answer.playback_started(act.now)
    assert not act.answer.is_audible


def test_playback_and_captions_follow_the_position(act: Rehearsal) -> None:
    act.sentences("one two three four.", "five six.")
    act.speak(0, 2)
    act.speak(1, 1)
    act.wait(0.05)
    assert not act.of(do.RecordPlayback)
    act.answer.playback_started(act.now)
    act.wait(1)
    assert act.of(do.RecordPlayback) == [do.RecordPlayback(3, 0, False)]
    captions = [c for c in act.out if isinstance(c, do.AgentCaption)]
    assert "".join(c.delta for c in captions) == "one two"
    act.wait(2.1)
    assert act.of(do.RecordPlayback)[1:] == [do.RecordPlayback(3, 1, False)]
    captions = [c for c in act.out if isinstance(c, do.AgentCaption)]
    assert "".join(c.delta for c in captions) == "one two three four. five six."
    assert act.answer.close_caption() == [do.AgentCaption("SG_agent_5", "", final=True)]


def test_an_unheard_answer_has_no_caption_to_close(act: Rehearsal) -> None:
    assert act.answer.close_caption() == []


def test_a_lost_avatar_that_had_played_everything_costs_nothing(act: Rehearsal) -> None:
    act.sentences("One.")
    act.speak(0, 1)
    act.wait(0.05)
    act.answer.playback_started(act.now)
    act.wait(1.1)
    act.answer.park(act.now)
    act.answer.unpark(2)
    act.wait(0.05)
    assert act.answer.is_finished
    assert [c.request for c in act.out if isinstance(c, do.PlayAudio)] == [1] * 10


def test_continuing_asks_for_every_unheard_sentence_and_marks_the_first(act: Rehearsal) -> None:
    asked = act.answer.resume_with(("One.", "Two.", "Three."), 1, act.now)
    assert asked == [do.Synthesize(3, EPOCH, 1, 0, "Two."), do.Synthesize(3, EPOCH, 2, 0, "Three.")]
    act.answer.is_complete = True
    act.speak(1, 0.5)
    act.speak(2, 0.5)
    act.wait(0.05)
    act.answer.playback_started(act.now)
    act.wait(1.2)
    assert act.of(do.RecordPlayback) == [
        do.RecordPlayback(3, 1, True),
        do.RecordPlayback(3, 2, False),
    ]
    assert not act.of(do.Synthesize)
    assert act.answer.heard == "One. Two. Three."


def test_what_was_heard_to_its_end_before_is_finished_at_once(act: Rehearsal) -> None:
    act.answer.resume_with(("One.",), 1, act.now)
    act.answer.is_complete = True
    act.wait(0.05)
    assert act.answer.is_finished
    assert not act.of(do.EndAudio)


def test_an_apology_without_prepared_sound_is_asked_for(act: Rehearsal) -> None:
    act.answer.apologise("Sorry.", None)
    act.wait(0.1)
    assert act.out == [do.Synthesize(3, EPOCH, 0, 0, "Sorry.")]
