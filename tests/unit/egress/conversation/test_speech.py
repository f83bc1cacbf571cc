"""A sentence's samples from chunks in any order, and the words heard of it."""

import itertools

import pytest

from tests.unit.egress.conversation.driver import sound
from visavis_egress.conversation.speech import Sentence

PCM = sound(1, 24_000)
TEXT = "one two three four five"


def chunks(pcm: bytes = PCM, parts: int = 4) -> list[tuple[int, bytes]]:
    step = len(pcm) // parts
    return [(at // 2, pcm[at : at + step]) for at in range(0, len(pcm), step)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_chunks_find_their_places_in_any_order(order: tuple[int, ...]) -> None:
    sentence = Sentence(TEXT)
    pieces = chunks()
    for index in order:
        assert not sentence.is_whole
        sentence.add(*pieces[index])
    sentence.close(24_000)
    assert bytes(sentence.pcm) == PCM
    assert sentence.is_whole
    assert sentence.duration_s == 1.0


def test_a_repeated_chunk_changes_nothing() -> None:
    sentence = Sentence(TEXT)
    for piece in (*chunks(), *chunks()):
        sentence.add(*piece)
    assert bytes(sentence.pcm) == PCM


def test_two_attempts_cut_at_different_places_are_joined_by_offset() -> None:
    sentence = Sentence(TEXT)
    for piece in chunks(parts=4)[:2]:
        sentence.add(*piece)
    for piece in chunks(parts=5)[2:]:
        sentence.add(*piece)
    sentence.close(24_000)
    assert sentence.is_whole
    assert bytes(sentence.pcm) == PCM


def test_a_shorter_chunk_does_not_replace_a_longer_one_at_the_same_place() -> None:
    sentence = Sentence(TEXT)
    sentence.add(100, PCM[200:2000])
    sentence.add(100, PCM[200:300])
    sentence.add(0, PCM[:200])
    assert bytes(sentence.pcm) == PCM[:2000]


def test_a_missing_chunk_is_a_gap_once_the_end_is_known() -> None:
    sentence = Sentence(TEXT)
    pieces = chunks()
    sentence.add(*pieces[0])
    sentence.add(*pieces[2])
    had_gap = sentence.has_gap
    sentence.close(24_000)
    assert (had_gap, sentence.has_gap) == (False, True)
    assert bytes(sentence.pcm) == pieces[0][1]
    sentence.add(*pieces[1])
    sentence.add(*pieces[3])
    assert not sentence.has_gap
    assert sentence.is_whole


def test_a_whole_sentence_stays_as_it_is() -> None:
    sentence = Sentence(TEXT)
    sentence.add(0, PCM)
    sentence.close(24_000)
    sentence.add(24_000, PCM)
    sentence.close(48_000)
    assert bytes(sentence.pcm) == PCM
    assert sentence.is_whole


def test_a_skipped_sentence_takes_no_more_sound() -> None:
    sentence = Sentence(TEXT)
    sentence.is_skipped = True
    sentence.add(0, PCM)
    assert sentence.duration_s == 0


def test_words_count_as_heard_by_their_share_of_the_characters() -> None:
    sentence = Sentence(TEXT)
    sentence.add(0, PCM)
    sentence.close(24_000)
    assert sentence.words_until(-1) == ""
    assert sentence.words_until(0) == ""
    assert sentence.words_until(0.1) == ""
    assert sentence.words_until(0.5) == "one two"
    assert sentence.words_until(0.97) == "one two three four"
    assert sentence.words_until(0.985) == TEXT
    assert sentence.words_until(9) == TEXT


def test_the_length_of_an_unfinished_sentence_is_estimated_from_its_words() -> None:
    sentence = Sentence("a word " * 20 + "end")  # about 9.5 s
    sentence.add(0, PCM)
    assert len(sentence.words_until(1.0)) <= 15
    sentence.add(24_000, sound(2, 24_000 * 12))
    assert sentence.words_until(13) == sentence.text


def test_no_sound_no_words() -> None:
    assert Sentence(TEXT).words_until(3) == ""


def test_a_sentence_heard_under_an_earlier_holder_has_words_and_no_sound() -> None:
    sentence = Sentence(TEXT, is_heard=True)
    assert sentence.words_until(0) == TEXT
    assert sentence.duration_s == 0
    assert sentence.is_whole


def test_of_a_sentence_given_up_only_what_was_handed_over_is_heard() -> None:
    sentence = Sentence("a word " * 20 + "end")
    sentence.add(0, PCM)
    sentence.is_skipped = True
    # Long after it, while later sentences play.
    assert len(sentence.words_until(60)) <= 15
