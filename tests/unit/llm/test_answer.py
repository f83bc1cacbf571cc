"""From a model's text to the sentences that are spoken."""

import pytest

from visavis_llm.answer import MAX_CHARACTERS, Answer, is_whole
from visavis_llm.speakable import speakable


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("**Hello** _there_, `code`.", "Hello there, code."),
        ("# Title", "Title"),
        ("- first item", "first item"),
        ("See [the page](https://a.b/c) now.", "See the page now."),
        ("Great! 🎉👍🏽", "Great!"),
        ("I am glad 😀.", "I am glad."),
        ("Bye.<|im_end|>", "Bye."),
        ("2 * 3 is 6, a snake_case name", "2 * 3 is 6, a snake_case name"),
        ("so   many\t spaces", "so many spaces"),
        ("...", ""),
        ("🙂", ""),
        ("—", ""),
        ("", ""),
    ],
)
def test_what_is_for_the_eye_only_is_not_spoken(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


def test_empty_pieces_are_dropped() -> None:
    answer = Answer()
    assert answer.feed("🙂\n\n---\nHello. Yes") == ["Hello."]
    assert answer.finish() == ["Yes"]


def test_a_cut_answer_ends_with_its_last_whole_sentence() -> None:
    answer = Answer()
    assert answer.feed("This is whole. This one is not quite", "length") == ["This is whole."]
    assert answer.finish() == []
    assert answer.finish_reason == "length"


def test_a_cut_answer_keeps_a_last_sentence_that_is_whole() -> None:
    answer = Answer()
    assert answer.feed("This is whole. And so is this.", "length") == ["This is whole."]
    assert answer.finish() == ["And so is this."]


@pytest.mark.parametrize("existing", [[], ["Of course I can,"]])
def test_a_cut_answer_without_a_whole_sentence_is_spoken_as_it_is(existing: list[str]) -> None:
    answer = Answer(existing)
    answer.feed("once upon a time there", "length")
    assert answer.finish() == ["once upon a time there"]


def test_an_unfinished_sentence_after_existing_ones_is_dropped() -> None:
    answer = Answer(["This exists."])
    answer.feed("once upon", "length")
    assert answer.finish() == []


def test_an_answer_that_stopped_keeps_its_rest() -> None:
    answer = Answer()
    answer.feed("Whole. no end", "stop")
    assert answer.finish() == ["Whole. no end"]
    assert answer.finish_reason == "stop"


def test_a_continued_answer_does_not_begin_with_a_clause() -> None:
    begun = Answer()
    assert begun.feed("Of course I can, said") == ["Of course I can,"]
    assert begun.feed(" he, and she. X") == ["said he, and she."]
    assert Answer(["Of course I can,"]).feed("said he, and she. X") == ["said he, and she."]
    assert Answer(["Yes."]).feed("Of course I can, said") == []


def test_an_endless_answer_is_cut() -> None:
    answer = Answer()
    while not answer.finish_reason:
        answer.feed("And on it goes. ")
    assert answer.finish_reason == "length"
    assert answer._length <= MAX_CHARACTERS + 20


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [("Yes.", True), ('He said "yes."', True), ("好。", True), ("Well,", False), ("Well", False)],
)
def test_a_whole_sentence_ends_like_one(sentence: str, whole: bool) -> None:
    assert is_whole(sentence) is whole
