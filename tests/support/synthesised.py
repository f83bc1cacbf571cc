"""What the speech workers made of a session's answers, to compare with what was heard of it."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import numpy as np
from nats.aio.msg import Msg

from tests.support.conversation import Talk
from tests.support.recording import Samples
from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import subjects

_Key = tuple[int, int]


class Synthesised:
    """Sound by turn and sentence, at 24 kHz; of several attempts at a turn the last one."""

    def __init__(self) -> None:
        self._pieces: dict[_Key, dict[int, Samples]] = defaultdict(dict)
        self._epochs: dict[int, int] = {}
        self.first_at: dict[_Key, float] = {}
        """When the first sound of a sentence was there, by turn and sentence (monotonic)."""

    async def take(self, message: Msg) -> None:
        """One piece off the bus."""
        piece = pb.Speech.FromString(message.data)
        turn, epoch = piece.address.turn, piece.address.epoch
        if epoch < self._epochs.get(turn, 0) or not piece.HasField("chunk"):
            return
        self._epochs[turn] = epoch
        self.first_at.setdefault((turn, piece.sentence), time.monotonic())
        samples = np.frombuffer(piece.chunk.pcm, "<i2").astype(np.int16)
        self._pieces[turn, piece.sentence][piece.chunk.sample_offset] = samples

    def sentences(self, turn: int) -> list[Samples]:
        """The sound of every sentence of a turn."""
        known = sorted(key for key in self._pieces if key[0] == turn)
        return [
            np.concatenate([at[1] for at in sorted(self._pieces[key].items())]) for key in known
        ]


@asynccontextmanager
async def synthesised(one: Talk) -> AsyncIterator[Synthesised]:
    """Collects from now on."""
    found = Synthesised()
    client = await nats.connect(one.world.stack.layout.nats_url)
    try:
        await client.subscribe(subjects.speech(one.session_id), cb=found.take)
        await client.flush()
        yield found
    finally:
        await client.close()
