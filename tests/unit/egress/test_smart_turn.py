"""The turn's end by its sound: features as the model's own code makes them, scores, bounds."""

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from visavis_egress import smart_turn
from visavis_egress.mel import log_mel
from visavis_egress.smart_turn import SmartTurn, bundled_model

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def model() -> Iterator[SmartTurn]:
    one = SmartTurn()
    yield one
    one.close()


def _judge() -> Any:
    """The features of the package that the model comes from; that file needs numpy alone."""
    path = bundled_model().parents[1] / "_whisper_features.py"
    spec = importlib.util.spec_from_file_location("whisper_features", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_whisper_log_mel_features


@pytest.mark.parametrize("seconds", [0.0, 0.5, 8.0, 11.0])
def test_features_are_those_that_the_model_was_trained_with(seconds: float) -> None:
    noise = np.random.default_rng(1).normal(0, 3000, int(seconds * RATE_HZ))
    noise[: len(noise) // 3] = 0
    samples = noise.astype("<i2")
    padded = np.zeros(8 * RATE_HZ, dtype=np.float32)
    given = samples[-len(padded) :].astype(np.float32) / 32768
    padded[len(padded) - len(given) :] = given
    ours = log_mel(smart_turn._window(samples.tobytes()))
    assert ours.shape == (80, 800)
    np.testing.assert_allclose(ours, _judge()(padded), atol=1e-4)


async def test_nothing_and_odd_bytes_are_no_error(model: SmartTurn) -> None:
    assert await model.score(b"") is None
    assert await model.score(b"\0") is None
    found = await model.score(b"\0" * 3201)
    assert found is not None
    assert 0 <= found <= 1


async def test_too_many_askers_get_none_at_once_and_the_loop_is_free(
    model: SmartTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, threads = threading.Event(), set()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def compute(pcm: bytes) -> float:
        threads.add(threading.get_ident())
        loop.call_soon_threadsafe(begun.set)
        go.wait(5)
        return 0.5

    monkeypatch.setattr(model, "probability", compute)
    running = [asyncio.create_task(model.score(b"\0\0")) for _ in range(smart_turn.MAX_WAITING)]
    await asyncio.wait_for(begun.wait(), 5)
    assert await asyncio.wait_for(model.score(b"\0\0"), 1) is None
    running[0].cancel()  # its computing goes on, and counts
    await asyncio.sleep(0)
    assert await asyncio.wait_for(model.score(b"\0\0"), 1) is None
    go.set()
    assert [await task for task in running[1:]] == [0.5, 0.5]
    assert await model.score(b"\0\0") == 0.5
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smart_turn, "_SHA256", "0" * 64)
    with pytest.raises(RuntimeError, match="not the model"):
        bundled_model()
    monkeypatch.setattr(smart_turn, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="pipecat-ai: missing"):
        bundled_model()


async def test_a_library_that_fails_leaves_no_score_and_room_for_the_next(
    model: SmartTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: bytes) -> float:
        raise RuntimeError("broken")

    monkeypatch.setattr(model, "probability", fail)
    for _ in range(smart_turn.MAX_WAITING + 1):
        assert await model.score(bytes(RATE_HZ)) is None
    monkeypatch.undo()
    assert await model.score(bytes(RATE_HZ)) is not None
