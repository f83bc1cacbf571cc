"""The port of the language models."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from visavis_runtime.errors import VisavisError


class ModelError(VisavisError):
    """The model gave no answer, or only a part of one; `code` is stable, the text for operators."""

    def __init__(self, code: str, message: str, *, can_retry: bool = True) -> None:
        super().__init__(message)
        self.code, self.can_retry = code, can_retry


SERVER_DOWN, SERVER_ERROR = "MODEL_SERVER_DOWN", "MODEL_SERVER_ERROR"
TIMEOUT = "MODEL_TIMEOUT"
SCORES_UNSUPPORTED = "SCORES_UNSUPPORTED"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation to be answered."""

    messages: Sequence[tuple[str, str]]
    """Role (system, user, assistant) and words."""
    prefix: str
    """The beginning of the answer, to be continued; empty: none."""
    temperature: float
    max_output_tokens: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the request is for, to be seen in the server's log."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer; the last one says why it ended: `stop` or `length`."""

    text: str
    finish_reason: str = ""


class ChatModel(Protocol):
    """Answers conversations, a few words at a time; holds nothing about callers."""

    can_continue: bool
    """Whether `Prompt.prefix` may be set."""

    async def ready(self) -> None:
        """Return when the model can be asked; raises ModelError."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        """The answer without its prefix. Raises ModelError, in the middle too.

        Cancelling or closing the generator stops the model at once.
        """

    async def end_probability(self, text: str, before: str) -> float:
        """How likely a speaker stops after `text`, 0 to 1; `before`: what the other one said.

        Raises ModelError, with SCORES_UNSUPPORTED when this model never tells probabilities.
        """

    async def aclose(self) -> None:
        """Close all connections."""
