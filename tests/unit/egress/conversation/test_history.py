"""The conversation as heard, and the requests made of it."""

from visavis_egress.conversation.history import History


def test_words_of_the_same_role_in_a_row_are_joined() -> None:
    history = History([("user", "One.")])
    history.add("user", "Two.")
    history.add("assistant", "Three.")
    history.add("assistant", "")
    assert history.entries == (("user", "One. Two."), ("assistant", "Three."))


def test_a_request_holds_instructions_history_and_the_words() -> None:
    history = History([("user", "Hi."), ("assistant", "Hello.")])
    messages, dropped = history.messages("Be kind.", "And now?", 1000)
    assert messages == (
        ("system", "Be kind."),
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", "And now?"),
    )
    assert dropped == 0
    assert history.entries == (("user", "Hi."), ("assistant", "Hello."))


def test_words_that_were_not_answered_go_into_the_same_message() -> None:
    messages, _ = History([("user", "Hi.")]).messages("", "Hello?", 1000)
    assert messages == (("system", ""), ("user", "Hi. Hello?"))


def test_the_oldest_entries_are_left_out_of_a_request_that_grows_too_large() -> None:
    history = History([("user", "a" * 40), ("assistant", "b" * 40), ("user", "c" * 40)])
    history.add("assistant", "d" * 40)
    messages, dropped = history.messages("i" * 20, "w" * 20, 120)
    assert [text[0] for _, text in messages] == ["i", "c", "d", "w"]
    assert dropped == 2
    messages, dropped = history.messages("i" * 20, "w" * 20, 119)
    assert [text[0] for _, text in messages] == ["i", "d", "w"]
    assert dropped == 3


def test_of_words_too_long_for_any_request_the_end_is_kept() -> None:
    messages, dropped = History([("assistant", "x")]).messages("ii", "ä" * 100 + "end", 12)
    assert messages == (("system", "ii"), ("user", "äääend"))
    assert dropped == 1


def test_without_entries_there_is_nothing_latest() -> None:
    assert History().latest(10) == ()
    assert History([("user", "abc")]).latest(0) == (("user", ""),)
