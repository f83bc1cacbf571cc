"""A scripted model with exact delays, for tests and benchmarks."""

import asyncio
import re
from collections.abc import AsyncGenerator

from visavis_llm.answer import is_whole
from visavis_llm.engine import Delta, Prompt


class FakeChatModel:
    """Answers everything with `text`, word by word."""

    can_continue = True

    def __init__(self, text: str, *, first_token_s: float = 0.0, token_s: float = 0.0) -> None:
        self._text, self._first_token_s, self._token_s = text, first_token_s, token_s

    async def ready(self) -> None:
        """Always."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        """See the port."""
        await asyncio.sleep(self._first_token_s)
        for word in re.findall(r"\s*\S+", self._text.removeprefix(prompt.prefix)):
            yield Delta(word)
            await asyncio.sleep(self._token_s)
        yield Delta("", "stop")

    async def end_probability(self, text: str, before: str) -> float:
        """By punctuation: certain either way."""
        return float(is_whole(text))

    async def aclose(self) -> None:
        """Nothing to close."""
