"""Which samples go to the avatar when, and what has been heard of them."""

import pytest

from tests.unit.egress.conversation.driver import seconds_of, sound
from visavis_egress.conversation.config import Timing
from visavis_egress.conversation.playback import Playback, heard_text, sentence_at
from visavis_egress.conversation.speech import Sentence

TIMING = Timing()
LIMIT_S = TIMING.lead_s + TIMING.piece_s


def whole(text: str, seconds: float, key: int = 1) -> Sentence:
    sentence = Sentence(text)
    samples = round(seconds * 24_000)
    sentence.add(0, sound(key, samples))
    sentence.close(samples)
    return sentence


def hand_over(playback: Playback, sentences: list[Sentence], now: float) -> bytes:
    out = b""
    while (piece := playback.next_piece(sentences, now)) is not None:
        assert piece
        assert playback.lead_s <= LIMIT_S + 1e-9
        out += piece
    return out


def test_before_playback_no_more_than_the_lead_is_handed_over() -> None:
    playback = Playback(TIMING)
    sentences = [whole("long", 10)]
    assert TIMING.lead_s <= seconds_of(hand_over(playback, sentences, 0.0)) <= LIMIT_S
    assert hand_over(playback, sentences, 0.5) == b""
    assert playback.has_open_request


def test_a_long_answer_is_paced_by_the_clock_and_never_more_than_the_lead_ahead() -> None:
    playback = Playback(TIMING)
    sentences = [whole("a", 7), whole("b", 8)]
    out, now = hand_over(playback, sentences, 0.0), 0.3
    playback.start(now)
    while not playback.is_drained(sentences):
        now += 0.02
        playback.advance(now)
        out += hand_over(playback, sentences, now)
    assert now == pytest.approx(0.3 + 15 - TIMING.lead_s, abs=0.15)
    assert out == sound(1, 7 * 24_000) + sound(1, 8 * 24_000)
    playback.advance(now + 5)
    assert playback.position_s == pytest.approx(15)


def test_the_position_stands_still_while_the_avatar_has_nothing_to_play() -> None:
    playback = Playback(TIMING)
    sentence = Sentence("slow")
    sentence.add(0, sound(1, 12_000))
    hand_over(playback, [sentence], 0.0)
    playback.start(0.0)
    playback.advance(3.0)
    assert playback.position_s == pytest.approx(0.5)
    sentence.add(12_000, sound(2, 24_000))
    hand_over(playback, [sentence], 3.0)
    playback.advance(3.25)
    assert playback.position_s == pytest.approx(0.75)


def test_without_a_report_of_the_start_our_clock_begins_after_a_while() -> None:
    playback = Playback(TIMING)
    hand_over(playback, [whole("a", 3)], 10.0)
    playback.advance(11.49)
    was_started = playback.is_started
    playback.advance(11.5)
    assert (was_started, playback.is_started) == (False, True)
    playback.start(13.0)  # the report after all: the clock is not set back
    playback.advance(13.0)
    assert playback.position_s == pytest.approx(1.5)


def test_the_clock_never_runs_backwards() -> None:
    playback = Playback(TIMING)
    hand_over(playback, [whole("a", 3)], 0.0)
    playback.start(1.0)
    playback.advance(2.0)
    playback.advance(1.5)
    assert playback.position_s == pytest.approx(1.0)


def test_an_unfinished_sentence_holds_up_the_next_one() -> None:
    playback = Playback(TIMING)
    first = Sentence("first")
    first.add(0, sound(1, 2400))
    sentences = [first, whole("second", 1, 2)]
    assert hand_over(playback, sentences, 0.0) == sound(1, 2400)
    assert playback.waits_for == 0
    assert playback.is_inside_sentence
    first.close(2400)
    assert hand_over(playback, sentences, 0.0) == sound(2, 24_000)
    assert playback.is_drained(sentences)


def test_the_rest_of_a_sentence_given_up_is_left_out() -> None:
    playback = Playback(TIMING)
    first = Sentence("first")
    first.add(0, sound(1, 60_000))
    sentences = [first, whole("second", 1, 2)]
    begin = hand_over(playback, sentences, 0.0)
    playback.skip(sentences, 0)
    playback.start(0.0)
    playback.advance(1.0)
    assert begin + hand_over(playback, sentences, 1.0) == begin + sound(2, 24_000)


def test_of_a_later_sentence_given_up_nothing_is_played() -> None:
    playback = Playback(TIMING)
    later = Sentence("later")
    later.add(0, sound(2, 24_000))
    sentences = [whole("first", 3), later, whole("last", 0.5, 3)]
    out = hand_over(playback, sentences, 0.0)
    playback.skip(sentences, 1)
    playback.start(0.0)
    playback.advance(2.0)
    assert out + hand_over(playback, sentences, 2.0) == sound(1, 72_000) + sound(3, 12_000)


def test_rewinding_hands_over_exactly_what_was_not_heard() -> None:
    playback = Playback(TIMING)
    sentences = [whole("first", 1, 1), whole("second", 2, 2)]
    everything = sound(1, 24_000) + sound(2, 48_000)
    hand_over(playback, sentences, 0.0)
    playback.start(0.0)
    playback.advance(1.3)
    playback.rewind(sentences)
    assert not playback.has_open_request
    assert not playback.is_started
    assert hand_over(playback, sentences, 5.0) == everything[round(1.3 * 24_000) * 2 :]
    playback.start(5.0)
    playback.advance(5.5)
    assert playback.position_s == pytest.approx(1.8)


def test_rewinding_when_all_was_heard_hands_over_nothing() -> None:
    playback = Playback(TIMING)
    sentences = [whole("first", 1)]
    hand_over(playback, sentences, 0.0)
    playback.start(0.0)
    playback.advance(1.5)
    playback.rewind(sentences)
    assert hand_over(playback, sentences, 2.0) == b""
    assert playback.is_drained(sentences)


def test_the_avatars_word_counts_within_what_it_was_given() -> None:
    playback = Playback(TIMING)
    hand_over(playback, [whole("first", 1)], 0.0)
    playback.settle(0.4)
    assert playback.position_s == pytest.approx(0.4)
    playback.settle(7)
    assert playback.position_s == pytest.approx(1.0)
    playback.settle(-1)
    assert playback.position_s == 0


def test_after_a_loss_the_avatars_word_counts_from_the_new_request() -> None:
    playback = Playback(TIMING)
    sentences = [whole("first", 2)]
    hand_over(playback, sentences, 0.0)
    playback.start(0.0)
    playback.advance(1.0)
    playback.rewind(sentences)
    hand_over(playback, sentences, 2.0)
    playback.settle(0.25)
    assert playback.position_s == pytest.approx(1.25)


def test_sentences_heard_before_are_passed_over() -> None:
    playback = Playback(TIMING)
    sentences = [Sentence("before", is_heard=True), whole("now", 0.2)]
    assert hand_over(playback, sentences, 0.0) == sound(1, 4800)
    assert heard_text(sentences, 0.0) == "before"
    assert heard_text(sentences, 0.2) == "before now"
    assert sentence_at(sentences, 0.0) == 1


def test_the_sentence_at_a_position() -> None:
    left_out = Sentence("left out")
    left_out.is_skipped = True
    sentences = [whole("a", 1), left_out, whole("c", 1)]
    assert [sentence_at(sentences, at) for at in (0, 0.99, 1.0, 1.5, 9)] == [0, 0, 2, 2, 2]


def test_a_sentence_is_not_reached_before_the_one_before_it_is_whole() -> None:
    first = Sentence("first")
    first.add(0, sound(1, 2400))
    sentences = [first, whole("second", 1, 2)]
    assert sentence_at(sentences, 0.1) == 0
    first.close(2400)
    assert sentence_at(sentences, 0.1) == 1


@pytest.mark.parametrize("samples", [0, 2400])
def test_rewinding_passes_over_no_sentence_whose_sound_is_still_to_come(samples: int) -> None:
    playback = Playback(TIMING)
    first = Sentence("first")
    first.add(0, sound(1, samples))
    sentences = [first, whole("second", 0.5, 2)]
    begin = hand_over(playback, sentences, 0.0)
    playback.start(0.0)
    playback.advance(1.0)
    playback.rewind(sentences)
    assert hand_over(playback, sentences, 1.0) == b""
    first.add(0, sound(1, 12_000))
    first.close(12_000)
    assert begin + hand_over(playback, sentences, 1.0) == sound(1, 12_000) + sound(2, 12_000)
