"""Character files: the shipped ones load, wrong ones stop the start with file and field."""

from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from visavis.session.v1 import session_pb2 as api
from visavis_token.characters import Character, CharacterError, default_of, load, resolve

SHIPPED = Path(__file__).parents[3] / "deploy" / "characters"
GOOD = """
id: test
voice: heart
language: en
instructions: Be brief.
phrases: {apology: Sorry.}
"""


def _load(folder: Path, content: str, name: str = "test.yaml") -> dict[str, Character]:
    (folder / name).write_text(content)
    return load(folder)


def test_the_shipped_characters_load() -> None:
    characters = load(SHIPPED)
    assert {"nova", "ada"} <= set(characters)
    assert all(character.phrases.apology for character in characters.values())


def test_a_short_file_is_filled_with_defaults(tmp_path: Path) -> None:
    resolved = resolve(_load(tmp_path, GOOD)["test"], api.SessionOverrides())
    assert resolved.greeting == ""
    assert resolved.avatar_fallback == api.AVATAR_FALLBACK_AUDIO_ONLY
    assert resolved.max_output_tokens == 200
    assert resolved.max_duration.seconds == 3600


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("voice: heart", "", "test.yaml: voice: "),
        ("language: en", "language: 7", "test.yaml: language: "),
        ("language: en", "language: a b", "test.yaml: language: "),
        ("{apology: Sorry.}", "{}", "test.yaml: phrases.apology: "),
        ("Be brief.", "é" * 16_001, "test.yaml: instructions: "),
        ("id: test", "id: other", "test.yaml: id: "),
        ("id: test", "id: test\ngreting: Hello", "test.yaml: greting: "),
        ("id: test", "id: test\ntemperature: 2.5", "test.yaml: temperature: "),
        ("id: test", "id: test\navatar_fallback: shrug", "test.yaml: avatar_fallback: "),
        ("id: test", "id: [", "test.yaml: cannot be read: "),
        ("{apology: Sorry.}", "{apology: Sorry., nudge: ''}", "test.yaml: phrases.nudge: "),
        (
            "{apology: Sorry.}",
            "{apology: Sorry., spoken_disclosure: " + "x" * 201 + "}",
            "test.yaml: phrases.spoken_disclosure: ",
        ),
        (
            "language: en",
            "language: de-DE",
            "test.yaml: file: Value error, phrases.disclosure, nudge, pardon, spoken_disclosure: ",
        ),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in GOOD
    with pytest.raises(CharacterError) as caught:
        _load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(named)


def test_an_empty_file_and_an_empty_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CharacterError, match=r"no \*\.yaml file"):
        load(tmp_path)
    with pytest.raises(CharacterError, match=r"test.yaml: file: "):
        _load(tmp_path, "")


def test_overrides_replace_only_what_they_set(tmp_path: Path) -> None:
    character = _load(tmp_path, GOOD + "greeting: Hello.\n")["test"]
    overrides = api.SessionOverrides(
        greeting="",
        voice="other",
        temperature=0,
        max_output_tokens=10,
        max_duration=Duration(seconds=60),
        avatar_fallback=api.AVATAR_FALLBACK_END,
    )
    resolved = resolve(character, overrides)
    assert (resolved.greeting, resolved.voice, resolved.temperature) == ("", "other", 0)
    assert (resolved.max_output_tokens, resolved.max_duration.seconds) == (10, 60)
    assert resolved.avatar_fallback == api.AVATAR_FALLBACK_END
    assert (resolved.instructions, resolved.apology) == ("Be brief.", "Sorry.")


def test_a_name_and_a_disclosure_are_there_even_if_the_file_has_none(tmp_path: Path) -> None:
    plain = _load(tmp_path, GOOD)["test"]
    assert plain.shown_name == "Test"
    assert "AI" in plain.phrases.disclosure
    named = _load(tmp_path, GOOD + "name: Tess Tester\nsilence_s: 90\n")["test"]
    assert named.shown_name == "Tess Tester"
    assert resolve(named, api.SessionOverrides()).max_silence.seconds == 90
    quiet = api.SessionOverrides(max_silence=Duration(seconds=5))
    assert resolve(named, quiet).max_silence.seconds == 5
    assert all("AI" in one.phrases.disclosure for one in load(SHIPPED).values())


def test_what_is_shown_may_be_longer_than_what_is_said(tmp_path: Path) -> None:
    plain = _load(tmp_path, GOOD)["test"]
    said = resolve(plain, api.SessionOverrides())
    assert said.disclosure == plain.phrases.spoken_disclosure == "You are talking with an AI."
    assert said.pardon
    assert said.nudge
    own = "{apology: S., disclosure: Shown., spoken_disclosure: Said., pardon: '', nudge: Hey.}"
    content = GOOD.replace("{apology: Sorry.}", own)
    resolved = resolve(_load(tmp_path, content)["test"], api.SessionOverrides(disclosure=True))
    assert (resolved.disclosure, resolved.pardon, resolved.nudge) == ("Said.", "", "Hey.")
    # In another language there is no default that one could understand.
    german = content.replace("language: en", "language: de")
    assert _load(tmp_path, german)["test"].phrases.disclosure == "Shown."


def test_a_session_can_switch_the_spoken_disclosure_off(tmp_path: Path) -> None:
    plain = _load(tmp_path, GOOD)["test"]
    assert resolve(plain, api.SessionOverrides(disclosure=False)).disclosure == ""


def test_who_names_no_character_gets_the_default_or_the_only_one(tmp_path: Path) -> None:
    known = _load(tmp_path, GOOD)
    assert default_of(known, "") == default_of(known, "test") == "test"
    assert default_of(load(SHIPPED), "") == ""
    with pytest.raises(CharacterError, match="'other'"):
        default_of(known, "other")
