"""The characters of a deployment: one YAML file each, checked before anything is served."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from visavis.pipeline.v1 import pipeline_pb2 as pipeline
from visavis.session.v1 import session_pb2 as api
from visavis_runtime.errors import VisavisError
from visavis_runtime.subjects import MAX_TEXT_CHARACTERS
from visavis_token import limits, turn_taking
from visavis_token.turn_taking import TurnTaking

_FALLBACKS = {
    "audio_only": api.AVATAR_FALLBACK_AUDIO_ONLY,
    "end": api.AVATAR_FALLBACK_END,
}


class CharacterError(VisavisError):
    """A character file that cannot be used; the text names file and field."""


def _not_too_many_bytes(text: str) -> str:
    if len(text.encode()) > limits.MAX_INSTRUCTIONS_BYTES:
        raise ValueError(f"more than {limits.MAX_INSTRUCTIONS_BYTES} bytes")
    return text


_Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
_Strict = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Phrases(BaseModel):
    """Sentences that no model makes up."""

    model_config = _Strict

    apology: _Text = Field(min_length=1)
    """Said when an answer fails."""
    disclosure: _Text = Field("You will talk with an AI, not with a person.", min_length=1)
    """Shown before the person's microphone opens; may say more than one listens to."""
    spoken_disclosure: str = Field(
        "You are talking with an AI.",
        min_length=1,
        max_length=limits.MAX_SPOKEN_DISCLOSURE_CHARS,
    )
    """Said before the greeting, whatever the person says meanwhile: so it is short."""
    pardon: _Text = "I am sorry, I did not catch that. Could you say it again?"
    """Said once when the words were not recognised well enough; empty: they are answered as is."""
    nudge: _Text = Field("Are you still there?", min_length=1)
    """Said when the person is silent for `turn_taking.nudge_after_s`."""


class Character(BaseModel):
    """Who speaks. deploy/characters/nova.yaml explains the fields."""

    model_config = _Strict

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    name: str = Field("", max_length=64)
    avatar: str = Field("", max_length=128)
    voice: str = Field(min_length=1, max_length=limits.MAX_VOICE_CHARS)
    language: str = Field(pattern=f"^{limits.LANGUAGE}$")
    instructions: Annotated[str, Field(min_length=1), AfterValidator(_not_too_many_bytes)]
    greeting: _Text = ""
    phrases: Phrases
    avatar_fallback: Literal["audio_only", "end"] = "audio_only"
    temperature: float = Field(0.7, ge=0, le=limits.MAX_TEMPERATURE)
    max_output_tokens: int = Field(200, ge=1, le=limits.MAX_OUTPUT_TOKENS)
    max_duration_s: int = Field(limits.DEFAULT_DURATION_S, ge=1, le=limits.MAX_DURATION_S)
    silence_s: int = Field(0, ge=0, le=limits.MAX_DURATION_S)
    turn_taking: TurnTaking = TurnTaking()

    @model_validator(mode="after")
    def _speaks_one_language(self) -> "Character":
        missing = set(Phrases.model_fields) - self.phrases.model_fields_set
        if missing and self.language.lower().split("-")[0] not in ("en", "eng"):
            names = ", ".join(sorted(missing))
            raise ValueError(f"phrases.{names}: the default is English, the character is not")
        return self

    @property
    def shown_name(self) -> str:
        """For people."""
        return self.name or self.id.capitalize()


def load(folder: Path) -> dict[str, Character]:
    """All characters of a folder by id. Raises CharacterError; also when there is none."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise CharacterError(f"no *.yaml file in {folder}")
    return {character.id: character for character in map(_read, files)}


def default_of(known: dict[str, Character], named: str) -> str:
    """The character of who names none: the named one, else the only one, else none.

    Raises CharacterError when there is no such character.
    """
    if named and named not in known:
        raise CharacterError(f"there is no character {named!r}")
    return named or (next(iter(known)) if len(known) == 1 else "")


def _read(file: Path) -> Character:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise CharacterError(f"{file.name}: cannot be read: {error}") from error
    character = _parse(file.name, content)
    # One file an id: so ids are unique, and the file of a character is found without a search.
    if character.id != file.stem:
        raise CharacterError(f"{file.name}: id: is {character.id!r}, must be {file.stem!r}")
    return character


def _parse(file: str, content: Any) -> Character:
    try:
        return Character.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{file}: {'.'.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise CharacterError("\n".join(problems)) from error


def resolve(character: Character, overrides: api.SessionOverrides) -> pipeline.ResolvedCharacter:
    """The character with the session's overrides in place; unset fields keep its values."""
    resolved = pipeline.ResolvedCharacter(
        instructions=character.instructions,
        voice=character.voice,
        language=character.language,
        greeting=character.greeting,
        apology=character.phrases.apology,
        avatar_id=character.avatar,
        avatar_fallback=_FALLBACKS[character.avatar_fallback],
        temperature=character.temperature,
        max_output_tokens=character.max_output_tokens,
        disclosure=character.phrases.spoken_disclosure,
        pardon=character.phrases.pardon,
        nudge=character.phrases.nudge,
    )
    # Unset where nobody has chosen anything.
    if character.turn_taking.model_fields_set or overrides.HasField("turn_taking"):
        wanted = turn_taking.merged(character.turn_taking.message(), overrides.turn_taking)
        resolved.turn_taking.CopyFrom(wanted)
    resolved.max_duration.FromSeconds(character.max_duration_s)
    resolved.max_silence.FromSeconds(character.silence_s)
    for field in ("instructions", "voice", "language", "greeting", "temperature"):
        if overrides.HasField(field):
            setattr(resolved, field, getattr(overrides, field))
    if overrides.HasField("disclosure") and not overrides.disclosure:
        resolved.disclosure = ""
    if overrides.HasField("max_output_tokens"):
        resolved.max_output_tokens = overrides.max_output_tokens
    for span in ("max_duration", "max_silence"):
        if overrides.HasField(span):
            getattr(resolved, span).CopyFrom(getattr(overrides, span))
    if overrides.avatar_fallback:
        resolved.avatar_fallback = overrides.avatar_fallback
    return resolved
