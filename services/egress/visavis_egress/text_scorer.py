"""How likely a person has finished, by the words; any language model worker answers."""

import time

from google.protobuf.message import DecodeError

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_egress.conversation.config import SCORE_TIMEOUT_S
from visavis_egress.telemetry import SCORE_SECONDS
from visavis_runtime import subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import BusError, NobodyThere


class BusTextScorer:
    """See `scorers.TextScorer`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def score(self, session_id: str, text: str, before: str) -> float | None:
        """See the port."""
        if not text.strip():
            return None
        started = time.monotonic()
        request = pb.ScoreRequest(session_id=session_id, text=text, before=before)
        reply, outcome = None, "scored"
        try:
            data = await self._bus.request(
                subjects.score(session_id), request.SerializeToString(), timeout_s=SCORE_TIMEOUT_S
            )
            reply = pb.ScoreReply.FromString(data)
            outcome = reply.error.code.lower() or outcome
        except NobodyThere:
            outcome = "nobody"
        except (BusError, DecodeError):
            outcome = "failed"
        SCORE_SECONDS.labels("text", outcome).observe(time.monotonic() - started)
        return reply.probability if reply and outcome == "scored" else None
