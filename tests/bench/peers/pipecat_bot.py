"""A bot for Pipecat 1.14.0 with the models of `engines`: `pipecat_bot.py URL TOKEN ROOM`.

One process for each call, as docs.pipecat.ai/deployment/overview has it. The end of a turn: voice
activity with 0.2 s of silence, then smart-turn; both are its defaults and what
docs.pipecat.ai/pipecat/learn/speech-input recommends. Answers before the turn's end it begins only
with a streaming STT that has eager ends of turn (turns/user_turn_strategies.py): Whisper has none.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator

from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import Frame, LLMTextFrame, TranscriptionFrame, TTSAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from tests.bench.peers.engines import ASR_RATE_HZ, SPEECH_RATE_HZ, VOICE, Setup, speech
from visavis_asr.engine import Transcriber
from visavis_tts.engine import Synthesizer


class LocalSTT(SegmentedSTTService):
    """Utterances as the framework cuts them, as its own Whisper service takes them."""

    def __init__(self, engine: Transcriber) -> None:
        settings = STTSettings(model="tiny.en", language=None)
        # Of a transcript that is final the framework waits for nothing more.
        super().__init__(ttfs_p99_latency=1.0, settings=settings)
        self._engine = engine

    @property
    def wants_wav_segments(self) -> bool:
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        found = await self._engine.transcribe(audio, "en")
        if found.text:
            yield TranscriptionFrame(found.text, self._user_id, time_now_iso8601())


class LocalTTS(TTSService):
    """A sentence at a time, as its own Kokoro service speaks."""

    def __init__(self, engine: Synthesizer) -> None:
        settings = TTSSettings(model=None, voice=VOICE, language=None)
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=SPEECH_RATE_HZ,
            settings=settings,
        )
        self._engine = engine

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        pcm = await speech(self._engine, text)
        yield TTSAudioRawFrame(pcm, SPEECH_RATE_HZ, 1, context_id=context_id)


class CannedLLM(OpenAILLMService):
    """The scripted model in place of the server."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(api_key="none", base_url=setup.llm_url)
        self._told = setup

    async def _process_context(self, context: LLMContext) -> None:
        async for words in self._told.canned():
            await self.push_frame(LLMTextFrame(words))


def language_model(setup: Setup) -> OpenAILLMService:
    """The server that all three ask, or the scripted model."""
    if setup.instant:
        return CannedLLM(setup)
    settings = OpenAILLMService.Settings(
        model=setup.llm_model,
        temperature=0.0,
        max_tokens=setup.max_tokens,
        system_instruction=setup.instructions,
    )
    return OpenAILLMService(api_key="none", base_url=setup.llm_url, settings=settings)


async def main(url: str, token: str, room: str) -> None:
    """One call, until the person leaves."""
    setup = Setup.read()
    stt, tts = setup.transcriber(), setup.synthesizer()
    await stt.warm()
    await tts.warm()
    params = LiveKitParams(audio_in_enabled=True, audio_out_enabled=True)
    transport = LiveKitTransport(url, token, room, params=params)
    analyser = LocalSmartTurnAnalyzerV3()
    listening = LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.2)),
        user_turn_strategies=UserTurnStrategies(
            stop=[TurnAnalyzerUserTurnStopStrategy(turn_analyzer=analyser)]
        ),
    )
    context = LLMContextAggregatorPair(LLMContext(), user_params=listening)
    steps = [
        transport.input(),
        LocalSTT(stt),
        context.user(),
        language_model(setup),
        LocalTTS(tts),
        transport.output(),
        context.assistant(),
    ]
    rates = PipelineParams(audio_in_sample_rate=ASR_RATE_HZ, audio_out_sample_rate=SPEECH_RATE_HZ)
    worker = PipelineWorker(Pipeline(steps), params=rates)
    runner = WorkerRunner(handle_sigterm=True)

    @context.user().event_handler("on_user_turn_stopped")
    async def on_stopped(*_: object) -> None:
        setup.note("decided", room)

    @transport.event_handler("on_first_participant_joined")
    async def on_joined(*_: object) -> None:
        setup.note("ready", room)

    @transport.event_handler("on_participant_left")
    async def on_left(*_: object) -> None:
        await runner.end()

    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
