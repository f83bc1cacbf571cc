"""API keys and session ids."""

import pytest

from visavis_token.api_keys import ApiKeys
from visavis_token.ids import is_ulid, new_ulid, session_id

ONE, TWO = "s" * 16, "t" * 40


def test_a_secret_names_its_key_and_nothing_else_does() -> None:
    keys = ApiKeys.parse(f"one:{ONE}, two:{TWO}")
    assert (keys.identify(ONE), keys.identify(TWO)) == ("one", "two")
    assert all(keys.identify(wrong) is None for wrong in ("", ONE[:-1], f"one:{ONE}", "é"))


def test_a_secret_may_hold_a_colon() -> None:
    assert ApiKeys.parse(f"one:{ONE}:x").identify(f"{ONE}:x") == "one"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "entry 1 is not id:secret"),
        (f"one:{ONE},", "entry 2 is not id:secret"),
        (ONE, "entry 1 is not id:secret|0 characters"),
        (f"o ne:{ONE}", "entry 1 is not id:secret"),
        ("one:short", "at least 16"),
        (f"one:{ONE},one:{TWO}", "repeats"),
        (f"one:{ONE},two:{ONE}", "repeats"),
    ],
)
def test_wrong_keys_are_explained_without_showing_a_secret(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        ApiKeys.parse(text)
    assert "short" not in str(caught.value)
    assert ONE not in str(caught.value).replace(repr(ONE), "")


def test_ulids_are_well_formed_unlike_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {new_ulid() for _ in range(1000)}
    assert len(made) == 1000
    assert all(map(is_ulid, made))
    monkeypatch.setattr("visavis_token.ids.time.time_ns", lambda: 1_469_918_176_385 * 1_000_000)
    assert new_ulid().startswith("01ARYZ6S41")  # the example of the ULID specification


def test_a_request_id_gives_the_same_session_for_the_same_key_only() -> None:
    first = session_id("one", "order-1")
    assert is_ulid(first)
    assert first == session_id("one", "order-1") == "7WEQ85REKSG4TCPXQ0ABA4V54R"
    assert len({first, session_id("two", "order-1"), session_id("one", "order-2")}) == 3
