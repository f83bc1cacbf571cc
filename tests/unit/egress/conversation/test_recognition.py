"""From an utterance to its words, in whatever order results arrive."""

import pytest

from tests.unit.egress.conversation.driver import frame, frames_of
from visavis_egress.conversation.commands import Command, ScoreSound, ScoreText, Transcribe
from visavis_egress.conversation.config import FRAME_S, Timing, TurnTaking
from visavis_egress.conversation.events import Transcribed, VoiceFrame
from visavis_egress.conversation.listening import Ear
from visavis_egress.conversation.recognition import Heard, Recognition

TIMING = Timing()
TAKING = TurnTaking()


class Speaker:
    """Speaks into a recognition and keeps what it asks for."""

    def __init__(self) -> None:
        self.ear = Ear(TIMING)
        self.recognition = Recognition(self.ear, TIMING, TAKING)
        self.now = 50.0
        self.all: list[Command] = []
        self.count = 0

    def hear(self, seconds: float, probability: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            self.ear.hear(VoiceFrame(frame(self.count), probability), self.now)
            self.count += 1
            self.all += self.recognition.advance(self.now, turn=7)

    def speak(self, seconds: float = 1.0) -> None:
        self.hear(seconds, 0.9)

    def pause(self, seconds: float = 0.55) -> None:
        self.hear(seconds, 0.0)

    def end(self) -> None:
        """Be silent for as long as a turn may wait."""
        self.pause(TAKING.max_delay_s + 0.05)

    @property
    def asked(self) -> list[Transcribe]:
        """What is to be recognised for good."""
        return [one for one in self.all if isinstance(one, Transcribe) and not one.partial]

    @property
    def partials(self) -> list[Transcribe]:
        """What is to be recognised for a caption."""
        return [one for one in self.all if isinstance(one, Transcribe) and one.partial]

    def result(self, index: int, text: str, confidence: float = 0.0) -> list[Command]:
        event = Transcribed(self.asked[index].revision, text, confidence)
        return self.recognition.transcribed(event, "And you?", self.now)

    def scores(self, index: int, words: float | None, sound: float | None) -> None:
        revision = self.asked[index].revision
        self.recognition.text_scored(revision, words)
        self.recognition.sound_scored(revision, sound)
        self.all += self.recognition.advance(self.now, turn=7)

    def finish(self, index: int, text: str) -> Heard | None:
        """The text comes, and whoever was asked thinks that it is all."""
        self.result(index, text)
        self.scores(index, 1.0, 1.0)
        return self.recognition.take()


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


def test_nothing_but_captions_is_asked_while_the_person_speaks(speaker: Speaker) -> None:
    speaker.speak(5)
    assert speaker.asked == []
    assert not speaker.recognition.is_waiting
    assert not speaker.recognition.is_idle


def test_every_half_second_of_speech_asks_for_the_words_so_far(speaker: Speaker) -> None:
    speaker.speak(2.1)
    assert len(speaker.partials) == 4
    assert [frames_of(one.pcm)[0] for one in speaker.partials] == [0] * 4
    lengths = [len(one.pcm) for one in speaker.partials]
    assert lengths == sorted(lengths)


def test_words_so_far_of_long_speech_are_asked_for_less_often(speaker: Speaker) -> None:
    speaker.speak(20)
    gaps = [
        len(after.pcm) - len(before.pcm)
        for before, after in zip(speaker.partials[-3:], speaker.partials[-2:], strict=False)
    ]
    assert all(gap >= 1.0 * 32_000 for gap in gaps)


def test_words_so_far_are_those_of_the_newest_question(speaker: Speaker) -> None:
    speaker.speak(1.1)
    old, new = (one.revision for one in speaker.partials)
    assert not speaker.recognition.partly_transcribed(old, "I")
    assert speaker.recognition.partly_transcribed(new, " I would ")
    assert speaker.recognition.words_so_far == "I would"
    assert speaker.recognition.words is None


def test_words_so_far_that_come_after_the_dip_are_old(speaker: Speaker) -> None:
    speaker.speak(1.1)
    speaker.pause(0.2)
    assert not speaker.recognition.partly_transcribed(speaker.partials[-1].revision, "I would")


def test_words_so_far_go_on_from_the_parts_before(speaker: Speaker) -> None:
    speaker.speak(28)
    speaker.result(0, "part0")
    speaker.speak(4)
    assert speaker.recognition.partly_transcribed(speaker.partials[-1].revision, "and more")
    assert speaker.recognition.words_so_far == "part0 and more"


def test_the_first_dip_asks_for_the_whole_utterance_once(speaker: Speaker) -> None:
    speaker.speak()
    ended_at = speaker.now
    speaker.pause(0.09)
    assert not speaker.asked
    speaker.pause(1.91)
    assert len(speaker.asked) == 1
    assert speaker.asked[0].turn == 7
    assert frames_of(speaker.asked[0].pcm)[0] == 0
    assert speaker.recognition.is_waiting
    assert not speaker.recognition.is_decided
    assert speaker.recognition.take() is None
    speaker.result(0, " Hello and ")
    speaker.pause(0.55)
    heard = speaker.recognition.take()
    assert heard
    assert (heard.text, heard.speech_end_at) == ("Hello and", ended_at)
    assert heard.endpoint_at == pytest.approx(ended_at + TAKING.max_delay_s, abs=FRAME_S)
    assert heard.transcript_at == pytest.approx(ended_at + 2.0, abs=FRAME_S)
    assert speaker.recognition.take() is None
    assert speaker.recognition.is_idle


def test_the_text_is_scored_with_what_the_avatar_said_and_the_sound_once_it_is_silent(
    speaker: Speaker,
) -> None:
    speaker.speak(9)
    speaker.pause(0.18)
    asked = speaker.result(0, "I am fine.")
    assert asked == [ScoreText(speaker.asked[0].revision, "I am fine.", "And you?")]
    assert not any(isinstance(one, ScoreSound) for one in speaker.all)
    speaker.pause(1)
    scored = [one for one in speaker.all if isinstance(one, ScoreSound)]
    assert [one.revision for one in scored] == [speaker.asked[0].revision]
    assert len(scored[0].pcm) == 8 * 32_000
    last = frames_of(scored[0].pcm)[-1]
    assert last == frames_of(speaker.asked[0].pcm)[-1] + 3  # at 200 ms of silence


def test_a_noise_is_not_scored_and_a_repeated_text_not_again(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause(0.2)
    assert speaker.result(0, " ") == []
    speaker.speak()
    speaker.pause(0.2)
    assert len(speaker.result(1, "Yes.")) == 1
    assert speaker.result(1, "No.") == []
    assert speaker.recognition.words == "Yes."


def test_scores_of_an_older_snapshot_mean_nothing(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause(0.2)
    speaker.speak()
    speaker.pause(0.4)
    speaker.result(1, "The whole.")
    speaker.scores(0, 1.0, 1.0)
    assert not speaker.recognition.is_decided
    speaker.scores(1, 1.0, 1.0)
    assert speaker.recognition.is_decided


def test_a_text_is_as_sure_as_its_least_sure_part(speaker: Speaker) -> None:
    speaker.speak(35)
    speaker.end()
    speaker.result(0, "part0", 0.3)
    speaker.result(1, "part1", 0.8)
    heard = speaker.recognition.take()
    assert heard
    assert heard.confidence == 0.3


def test_going_on_withdraws_the_snapshot_and_a_later_one_has_everything(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    speaker.speak()
    assert not speaker.recognition.is_waiting
    speaker.result(0, "half")
    assert speaker.recognition.words is None
    speaker.pause()
    assert len(speaker.asked) == 2
    assert frames_of(speaker.asked[1].pcm)[: len(frames_of(speaker.asked[0].pcm))] == frames_of(
        speaker.asked[0].pcm
    )
    speaker.result(0, "half again")
    assert speaker.recognition.words is None
    heard = speaker.finish(1, "the whole")
    assert heard
    assert heard.text == "the whole"


def test_the_text_of_a_withdrawn_snapshot_is_not_waited_for(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    speaker.speak()
    speaker.pause()
    heard = speaker.finish(1, "the whole")
    assert heard
    assert heard.text == "the whole"


def test_a_noise_after_the_end_moves_neither_the_end_nor_the_decision(speaker: Speaker) -> None:
    speaker.speak()
    ended_at = speaker.now
    speaker.end()
    speaker.hear(FRAME_S, 0.9)
    speaker.pause()
    assert len(speaker.asked) == 1
    heard = speaker.finish(0, "yes")
    assert heard
    assert heard.speech_end_at == ended_at < heard.endpoint_at < heard.transcript_at


def test_revisions_rise_over_all_utterances(speaker: Speaker) -> None:
    for index in range(3):
        speaker.speak()
        speaker.pause()
        assert speaker.finish(index, "word")
    revisions = [command.revision for command in speaker.all if isinstance(command, Transcribe)]
    assert revisions == sorted(set(revisions))
    assert len(speaker.asked) == 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_parts_are_joined_in_order_whatever_the_order_of_results(
    speaker: Speaker, order: tuple[int, ...]
) -> None:
    speaker.speak(62)
    speaker.end()
    assert len(speaker.asked) == 3
    for index in order:
        assert speaker.recognition.take() is None
        speaker.result(index, f"part{index}")
    heard = speaker.recognition.take()
    assert heard
    assert heard.text == "part0 part1 part2"
    sent = [number for command in speaker.asked for number in frames_of(command.pcm)]
    assert sent == list(range(len(sent)))


def test_an_empty_part_leaves_no_gap_in_the_text(speaker: Speaker) -> None:
    speaker.speak(35)
    speaker.pause()
    speaker.result(0, "")
    heard = speaker.finish(1, "end")
    assert heard
    assert heard.text == "end"


def test_a_result_of_what_was_forgotten_is_dropped(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    speaker.recognition.forget()
    assert speaker.finish(0, "too late") is None
    assert speaker.recognition.is_idle


def test_a_result_is_late_after_five_seconds(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause(0.13)
    asked_at = speaker.now
    speaker.end()
    assert speaker.recognition.failure(asked_at + 4.9) == ""
    assert speaker.recognition.failure(asked_at + 5) == "ASR_TIMEOUT"


def test_a_snapshot_that_failed_matters_once_the_turn_is_over(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause(0.2)
    speaker.recognition.failed(99, "ENGINE_FAILED")
    speaker.recognition.failed(speaker.asked[0].revision, "ENGINE_FAILED")
    assert speaker.recognition.failure(speaker.now) == ""
    speaker.end()
    assert speaker.recognition.failure(speaker.now) == "ASR_ENGINE_FAILED"


def test_a_part_that_failed_matters_at_once(speaker: Speaker) -> None:
    speaker.speak(30)
    speaker.recognition.failed(speaker.asked[0].revision, "ENGINE_FAILED")
    assert speaker.recognition.failure(speaker.now) == "ASR_ENGINE_FAILED"


def test_after_a_long_wait_for_a_result_no_snapshot_outgrows_a_message(speaker: Speaker) -> None:
    speaker.speak(27)
    speaker.pause(5)
    speaker.speak()
    speaker.pause()
    assert all(len(command.pcm) <= 896_000 for command in speaker.asked)
    # The first was withdrawn, the second is a part, and what followed it went on.
    kept = frames_of(speaker.asked[1].pcm) + frames_of(speaker.asked[-1].pcm)
    assert kept == list(range(len(kept)))
