"""From an utterance to its words, in whatever order results arrive."""

import pytest

from tests.unit.egress.conversation.driver import frame, frames_of
from visavis_egress.conversation.commands import Transcribe
from visavis_egress.conversation.config import FRAME_S, Timing
from visavis_egress.conversation.events import VoiceFrame
from visavis_egress.conversation.listening import Ear
from visavis_egress.conversation.recognition import Recognition

TIMING = Timing()


class Speaker:
    """Speaks into a recognition and keeps what it asks for."""

    def __init__(self) -> None:
        self.ear = Ear(TIMING)
        self.recognition = Recognition(self.ear, TIMING)
        self.now = 50.0
        self.asked: list[Transcribe] = []
        self.count = 0

    def hear(self, seconds: float, probability: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            self.ear.hear(VoiceFrame(frame(self.count), probability), self.now)
            self.count += 1
            for command in self.recognition.advance(self.now, turn=7):
                assert isinstance(command, Transcribe)
                self.asked.append(command)

    def speak(self, seconds: float = 1.0) -> None:
        self.hear(seconds, 0.9)

    def pause(self, seconds: float = 0.55) -> None:
        self.hear(seconds, 0.0)

    def result(self, index: int, text: str) -> None:
        self.recognition.transcribed(self.asked[index].revision, text, self.now)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


def test_nothing_is_asked_while_the_person_speaks(speaker: Speaker) -> None:
    speaker.speak(5)
    assert speaker.asked == []
    assert not speaker.recognition.is_waiting
    assert not speaker.recognition.is_idle


def test_the_end_of_speech_asks_for_the_whole_utterance_once(speaker: Speaker) -> None:
    speaker.speak()
    ended_at = speaker.now
    speaker.pause(2)
    assert len(speaker.asked) == 1
    assert speaker.asked[0].turn == 7
    assert frames_of(speaker.asked[0].pcm)[0] == 0
    assert speaker.recognition.is_waiting
    assert speaker.recognition.take() is None
    speaker.result(0, " Hello. ")
    heard = speaker.recognition.take()
    assert heard
    assert (heard.text, heard.speech_end_at, heard.transcript_at) == (
        "Hello.",
        ended_at,
        speaker.now,
    )
    assert heard.endpoint_at == pytest.approx(ended_at + 0.5, abs=FRAME_S)
    assert speaker.recognition.take() is None
    assert speaker.recognition.is_idle


def test_going_on_withdraws_the_snapshot_and_a_later_one_has_everything(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    speaker.speak()
    assert not speaker.recognition.is_waiting
    speaker.result(0, "half")
    assert speaker.recognition.take() is None
    speaker.pause()
    assert [command.revision for command in speaker.asked] == [1, 2]
    assert frames_of(speaker.asked[1].pcm)[: len(frames_of(speaker.asked[0].pcm))] == frames_of(
        speaker.asked[0].pcm
    )
    speaker.result(0, "half again")
    assert speaker.recognition.take() is None
    speaker.result(1, "the whole")
    heard = speaker.recognition.take()
    assert heard
    assert heard.text == "the whole"


def test_the_text_of_a_withdrawn_snapshot_is_not_waited_for(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    speaker.speak()
    speaker.pause()
    speaker.result(1, "the whole")
    heard = speaker.recognition.take()
    assert heard
    assert heard.text == "the whole"


def test_a_noise_after_the_end_moves_neither_the_end_nor_the_decision(speaker: Speaker) -> None:
    speaker.speak()
    ended_at = speaker.now
    speaker.pause()
    speaker.hear(FRAME_S, 0.9)
    speaker.pause()
    speaker.result(0, "yes")
    heard = speaker.recognition.take()
    assert heard
    assert heard.speech_end_at == ended_at < heard.endpoint_at < heard.transcript_at


def test_revisions_rise_over_all_utterances(speaker: Speaker) -> None:
    for index in range(3):
        speaker.speak()
        speaker.pause()
        speaker.result(index, "word")
        assert speaker.recognition.take()
    assert [command.revision for command in speaker.asked] == [1, 2, 3]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_parts_are_joined_in_order_whatever_the_order_of_results(
    speaker: Speaker, order: tuple[int, ...]
) -> None:
    speaker.speak(62)
    speaker.pause()
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
    speaker.result(1, "end")
    heard = speaker.recognition.take()
    assert heard
    assert heard.text == "end"


def test_a_result_is_expected_until_it_came_or_was_withdrawn(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    assert speaker.recognition.expects(1)
    assert not speaker.recognition.expects(2)
    speaker.recognition.forget()
    assert not speaker.recognition.expects(1)
    speaker.result(0, "too late")
    assert speaker.recognition.take() is None


def test_a_result_is_late_after_five_seconds(speaker: Speaker) -> None:
    speaker.speak()
    speaker.pause()
    assert not speaker.recognition.is_late(speaker.now + 4.8)
    assert speaker.recognition.is_late(speaker.now + 5)


def test_after_a_long_wait_for_a_result_no_snapshot_outgrows_a_message(speaker: Speaker) -> None:
    speaker.speak(27)
    speaker.pause(5)
    speaker.speak()
    speaker.pause()
    assert len(speaker.asked) == 3
    assert all(len(command.pcm) <= 896_000 for command in speaker.asked)
    kept = frames_of(speaker.asked[1].pcm) + frames_of(speaker.asked[2].pcm)
    assert kept == list(range(len(kept)))
