"""How finished words seem to the language model: the real client, the embedded model server."""

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from visavis_llm.engine import TIMEOUT, ModelError
from visavis_llm.openai_chat import OpenAIChatModel
from visavis_local.ports import free_port
from visavis_local.processes import ServerProcess
from visavis_model_server.weights import NAME

TRIES = 20


def encoded(text: str, before: str) -> bytes:
    """One question, as the content that its answer is kept by."""
    return f"{before}\n{text}".encode()


def end_probabilities(questions: Iterable[bytes]) -> list[float]:
    """One for each of `questions` (see `encoded`), in order."""
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        server = ServerProcess(
            name="model-server",
            command=[sys.executable, "-m", "visavis_model_server"],
            log=Path(scratch) / "log",
            ready_url=f"http://127.0.0.1:{port}/health",
            environ={"VISAVIS_MODEL_SERVER_PORT": str(port), "VISAVIS_MODEL_SERVER_SLOTS": "1"},
        )
        server.start()
        try:
            return asyncio.run(_ask(f"http://127.0.0.1:{port}/v1", list(questions)))
        finally:
            server.stop()


async def _ask(url: str, questions: list[bytes]) -> list[float]:
    model = OpenAIChatModel(url, NAME)
    found = []
    try:
        for question in questions:
            before, _, text = question.decode().partition("\n")
            found.append(await _patiently(model, text, before))
    finally:
        await model.aclose()
    return found


async def _patiently(model: OpenAIChatModel, text: str, before: str) -> float:
    """A session takes no score that is late; here the machine may be busy with something else."""
    for _ in range(TRIES - 1):
        try:
            return await model.end_probability(text, before)
        except ModelError as error:
            if error.code != TIMEOUT:
                raise
    return await model.end_probability(text, before)
