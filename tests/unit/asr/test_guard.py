"""When a short-window decoding is not to be trusted."""

import pytest

from visavis_asr.guard import is_suspect, repeats, token_cap


@pytest.mark.parametrize(
    "words",
    ["a a", "what time is it what time is it", "what time is it what time", "a b c a b c a b"],
)
def test_a_phrase_said_again_is_a_loop(words: str) -> None:
    assert repeats(words.split())


@pytest.mark.parametrize("words", ["", "a", "a b", "a b a", "what time is it", "a b c a b d"])
def test_other_texts_are_not(words: str) -> None:
    assert not repeats(words.split())


def test_case_and_punctuation_do_not_hide_a_loop() -> None:
    assert is_suspect("What time is it? what time is it", tokens=9, cap=30)


def test_a_decoding_that_ran_into_its_cap_is_suspect() -> None:
    assert is_suspect("one two three", tokens=29, cap=30)
    assert not is_suspect("one two three", tokens=28, cap=30)


def test_the_cap_grows_with_the_utterance() -> None:
    assert token_cap(0.0) == 12
    assert token_cap(2.5) == 12 + 17
