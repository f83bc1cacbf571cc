"""The splitter: where pieces end, and that they end there however the text arrives."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from visavis_llm.splitter import MAX_CHARACTERS, Splitter


def split(deltas: Iterable[str], *, is_first: bool = True) -> list[str]:
    splitter = Splitter(is_first=is_first)
    pieces = [piece for delta in deltas for piece in splitter.feed(delta)]
    return pieces + splitter.flush()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Hi! Yes.", ["Hi!", "Yes."]),
        ("Wait... What?! No.", ["Wait...", "What?!", "No."]),
        ("It costs 3.5 euros. Fine.", ["It costs 3.5 euros.", "Fine."]),
        ("Ask Dr. Smith or Mrs. Jones. They know.", ["Ask Dr. Smith or Mrs. Jones.", "They know."]),
        ("See no. 5 of J. R. Ewing. Go.", ["See no. 5 of J. R. Ewing.", "Go."]),
        ("No. I will not.", ["No.", "I will not."]),
        ("So do I. Then go.", ["So do I.", "Then go."]),
        ("Use fruit, e.g. Apples. Good.", ["Use fruit, e.g. Apples.", "Good."]),
        ("We close at 6 p.m. Come soon.", ["We close at 6 p.m.", "Come soon."]),
        ("It was etc. and so on. End.", ["It was etc. and so on.", "End."]),
        ("1. Open it. 2. Shut it.", ["1. Open it.", "2. Shut it."]),
        ('"Really?" he said. Yes.', ['"Really?" he said.', "Yes."]),
        ('She said "Go." Then left.', ['She said "Go."', "Then left."]),
        ("Look at example.com/a.b now. Ok.", ["Look at example.com/a.b now.", "Ok."]),
        ("One line\nanother line\n\nthird", ["One line", "another line", "third"]),
        ("好的。再见！", ["好的。", "再见！"]),
        ("  \n ", []),
        ("", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, pieces: list[str]) -> None:
    assert split([text], is_first=False) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Of course I can, just wait. Now, go.", ["Of course I can,", "just wait.", "Now, go."]),
        ("Yes, of course, sir.", ["Yes, of course,", "sir."]),
        ("It was on March 5, 2024. Ok.", ["It was on March 5, 2024.", "Ok."]),
        ("That is 10,000 or 10:30 exactly.", ["That is 10,000 or 10:30 exactly."]),
        ("Well let me see - it is here.", ["Well let me see -", "it is here."]),
        ("Three things: a, b.", ["Three things:", "a, b."]),
        ("It is 1,000 metres, they say.", ["It is 1,000 metres,", "they say."]),
        ("Ask Mr. Smith, he knows.", ["Ask Mr. Smith,", "he knows."]),
        ("Bring fruit, e.g., apples; then go.", ["Bring fruit,", "e.g., apples; then go."]),
        ("Take it, e.g., home; then go.", ["Take it, e.g., home;", "then go."]),
        ('"Well, of course," she said.', ['"Well, of course,"', "she said."]),
        ("It works (as you see), always.", ["It works (as you see),", "always."]),
        ("Yes, no, and so on.", ["Yes, no, and so on."]),
        ("Well well; well, well.", ["Well well; well,", "well."]),
        ("All of this — every bit.", ["All of this —", "every bit."]),
        ("A well-known and co-written song.", ["A well-known and co-written song."]),
        (
            "No clause here at all. None, really none.",
            ["No clause here at all.", "None, really none."],
        ),
    ],
)
def test_only_the_first_piece_may_end_at_a_clause(text: str, pieces: list[str]) -> None:
    assert split(text) == pieces


@pytest.mark.parametrize(
    ("deltas", "pieces"),
    [
        (["Of course I can, just wait. Now, go."], ["Of course I can, just wait.", "Now, go."]),
        (["Of course I can, just wait."], ["Of course I can, just wait."]),
        (["Of course I can, just", " wait. No."], ["Of course I can,", "just wait.", "No."]),
        (["Of course I can,", " just wait. No."], ["Of course I can, just wait.", "No."]),
        (['He said "well, then."', " Yes."], ['He said "well, then."', "Yes."]),
        (["Well I never, it is 3.", "5 eu", "ros"], ["Well I never,", "it is 3.5 euros"]),
    ],
)
def test_a_sentence_that_is_there_is_not_cut(deltas: list[str], pieces: list[str]) -> None:
    assert split(deltas) == pieces


def test_a_piece_is_given_out_with_the_first_character_after_it() -> None:
    splitter = Splitter()
    assert splitter.feed("Hello there.") == []
    assert splitter.feed(" ") == []
    assert splitter.feed("H") == ["Hello there."]


def test_a_run_without_an_end_is_cut_between_words() -> None:
    pieces = split(["word " * 200], is_first=False)
    assert all(len(piece) <= MAX_CHARACTERS for piece in pieces)
    assert {word for piece in pieces for word in piece.split()} == {"word"}
    assert [len(piece) for piece in split(["x" * 900])] == [400, 400, 100]


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            (". ", "! ", "?", "... ", ", ", ": ", " - ", "\n", " ", "Dr.", "e.g.", "3.5", "p.m.")
        ),
        st.sampled_from(("Hello", "world", "I", "No", "Q", "1", "ü", "。", "」", '"', ")", "  ")),
        st.text(max_size=8),
        st.builds(lambda n: "x" * n, st.integers(380, 420)),
    ),
    max_size=40,
).map("".join)


@given(TEXTS, st.lists(st.integers(0, 2000), max_size=30), st.booleans())
@example("好！！a", [2], False)
@example("x" * 399 + ". Yes", [400, 401], False)
def test_pieces_are_the_text_whatever_its_cutting(
    text: str, cuts: list[int], is_first: bool
) -> None:
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    deltas = [text[a:b] for a, b in pairwise(places)]
    pieces = split(deltas, is_first=is_first)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    if not is_first:
        assert pieces == split([text], is_first=False)
        assert pieces == split(text, is_first=False)
    assert all(0 < len(piece) <= MAX_CHARACTERS and piece == piece.strip() for piece in pieces)
