"""An agent program for LiveKit Agents 1.8.9, with the models of `engines`; run by its own worker.

Low latency after docs.livekit.io/agents/logic/turns/tuning and, for the names of the options,
docs.livekit.io/reference/agents/turn-handling-options: a short silence, fixed endpointing with a
short delay, answer and speech begun before the turn is over. The end of a turn is told by voice
activity alone, the quickest of its ways: its turn detector would wait longer where it is unsure,
and takes 280 MB. Interruptions are at their defaults, the echo guard of 3 s among them.
"""

import asyncio
import math
import os
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    JobProcess,
    ModelSettings,
    NotGivenOr,
    cli,
    inference,
    llm,
    stt,
    tts,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.utils import merge_frames
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions
from livekit.plugins import openai

from tests.bench.peers.engines import ASR_RATE_HZ, SPEECH_RATE_HZ, Setup, speech
from visavis_asr.engine import Transcriber
from visavis_tts.engine import Synthesizer

AGENT_NAME = "peer"


class LocalSTT(stt.STT):
    """Utterances as the framework's VAD cuts them: this STT is no streaming one."""

    def __init__(self, engine: Transcriber) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._engine = engine

    async def _recognize_impl(
        self,
        buffer: rtc.AudioFrame | list[rtc.AudioFrame],
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = merge_frames(buffer)
        assert frame.sample_rate == ASR_RATE_HZ
        found = await self._engine.transcribe(bytes(frame.data), "en")
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            alternatives=[stt.SpeechData(language="en", text=found.text)],
        )


class LocalTTS(tts.TTS):
    """A sentence at a time."""

    def __init__(self, engine: Synthesizer) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SPEECH_RATE_HZ,
            num_channels=1,
        )
        self.engine = engine

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Speech(tts=self, input_text=text, conn_options=conn_options)


class _Speech(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="speech",
            sample_rate=SPEECH_RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
        )
        output_emitter.push(await speech(self._tts.engine, self.input_text))
        output_emitter.flush()


class Peer(Agent):
    """One conversation. The scripted model answers in place of the server."""

    def __init__(self, setup: Setup, room: str) -> None:
        super().__init__(instructions=setup.instructions)
        self._setup, self._room = setup, room

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        self._setup.note("decided", self._room)

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterator[llm.ChatChunk | str]:
        if self._setup.instant:
            async for words in self._setup.canned():
                yield words
        else:
            async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
                yield chunk


def prewarm(process: JobProcess) -> None:
    """Before a session comes: load the models."""
    setup = Setup.read()
    process.userdata["setup"] = setup
    for name, engine in (("stt", setup.transcriber()), ("tts", setup.synthesizer())):
        asyncio.run(engine.warm())
        process.userdata[name] = engine


def _no_load(*_: object) -> float:
    return 0.0


server = AgentServer(
    host="127.0.0.1",
    port=int(os.environ["BENCH_PORT"]),
    # A busy machine takes no sessions otherwise: the server gives a worker at full load none.
    load_fnc=_no_load,
    load_threshold=math.inf,
    num_idle_processes=int(os.environ.get("BENCH_IDLE_PROCESSES", "1")),
    initialize_process_timeout=60.0,
)
server.setup_fnc = prewarm


@server.rtc_session(agent_name=AGENT_NAME)
async def entrypoint(context: JobContext) -> None:
    """One session."""
    told: Setup = context.proc.userdata["setup"]
    model = openai.LLM(
        model=told.llm_model,
        base_url=told.llm_url,
        api_key="none",
        temperature=0.0,
        extra_body={"max_tokens": told.max_tokens},
    )
    session: AgentSession[None] = AgentSession(
        stt=LocalSTT(context.proc.userdata["stt"]),
        llm=model,
        tts=LocalTTS(context.proc.userdata["tts"]),
        vad=inference.VAD(model="silero", min_silence_duration=0.2),
        turn_handling={
            "turn_detection": "vad",
            "endpointing": {"mode": "fixed", "min_delay": 0.2, "max_delay": 3.0},
            "preemptive_generation": {"enabled": True, "preemptive_tts": True},
        },
    )
    await session.start(
        agent=Peer(told, context.room.name),
        room=context.room,
        room_options=RoomOptions(audio_input=AudioInputOptions(sample_rate=ASR_RATE_HZ)),
    )
    told.note("ready", context.room.name)


if __name__ == "__main__":
    cli.run_app(server)
