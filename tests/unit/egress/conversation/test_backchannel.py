"""Which words take no turn, and which utterances are the same."""

import pytest

from visavis_egress.conversation.backchannel import is_backchannel, normalised, word_count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "Mm-hm.",
        "Uh-huh.",
        "Yeah.",
        "Okay, sure.",
        "OKAY",
        "I see.",
        "Oh, I see, right.",
        "Got it, go on.",
        "Ha ha ha!",
        "Mmm, yeah, yeah, okay.",
    ],
)
def test_signs_of_attention_take_no_turn(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "No.",
        "Wait.",
        "Stop!",
        "What?",
        "Yeah, but why?",
        "Okay, next one.",
        "I see a problem.",
        "Sure, tell me.",
        "Yeah yeah yeah yeah yeah.",
    ],
)
def test_words_with_a_meaning_of_their_own_do(text: str) -> None:
    assert not is_backchannel(text)


@pytest.mark.parametrize("text", ["Hmgo on", "Yeah hi seen"])
def test_a_phrase_is_found_as_words_only(text: str) -> None:
    assert not is_backchannel(text)


def test_what_differs_in_case_and_punctuation_is_the_same() -> None:
    assert normalised("Well, I'd say: YES!") == normalised("well I'd say yes") == "well i'd say yes"
    assert normalised("It's ten.") != normalised("Its ten.")
    assert normalised(" ?! ") == ""


def test_words_are_counted_without_signs() -> None:
    assert word_count("Well - I'd say, yes.") == 4
    assert word_count("...") == 0
