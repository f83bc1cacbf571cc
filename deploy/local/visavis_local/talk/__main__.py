"""Holds the demo's conversation and says how it was; exit status 0 if all was well."""

import asyncio
import logging
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import grpc

from tests.support.caller import Caller
from tests.support.session_api import SessionApi
from tests.support.voices import speak_all
from visavis.session.v1 import session_pb2 as api
from visavis_local.stack import OUTSIDE_LLM, LocalStack
from visavis_local.talk import KEEP_SERVING, LOG, script, show, verdict
from visavis_local.talk.report import Report
from visavis_local.talk.stage import Stage, Stopped
from visavis_local.talk.watch import Watch

_COUNTED = re.compile(
    r'^visavis_model_chat_requests_total\{outcome="(?:answered|abandoned)"\} (\S+)$', re.MULTILINE
)


def main() -> None:
    """Talk, judge, leave the verdict; then end, or serve on."""
    # The media library warns, for example, whenever a room is left.
    logging.basicConfig(filename=os.environ.get(LOG), level=logging.WARNING)
    secret = os.environ["VISAVIS_TALK_API_KEY"].split(":", 1)[1]
    stack = LocalStack.create(Path(os.environ["VISAVIS_LOCAL_FOLDER"]))
    sys.exit(asyncio.run(_main(stack, secret)))


async def _main(stack: LocalStack, secret: str) -> int:
    talking = asyncio.create_task(_talk(stack, secret))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, talking.cancel)
    try:
        report = await talking
    except asyncio.CancelledError:
        print("\nStopped before the end of the conversation.", flush=True)
        return 1
    reasons = verdict.reasons(report)
    print(f"{show.heading('verdict')}\n{show.verdict(reasons)}", flush=True)
    await asyncio.to_thread(_leave_verdict, int(bool(reasons)))
    if os.environ.get(KEEP_SERVING):
        await _serve_on(stack, secret)
    return int(bool(reasons))


def _leave_verdict(status: int) -> None:
    Path(os.environ["VISAVIS_TALK_VERDICT"]).write_text(str(status))


async def _talk(stack: LocalStack, secret: str) -> Report:
    wavs = dict(
        zip(
            script.SPOKEN_BY_THE_PERSON,
            await asyncio.to_thread(speak_all, script.SPOKEN_BY_THE_PERSON),
            strict=True,
        )
    )
    try:
        before = await _model_requests(stack)
        async with SessionApi(stack.grpc_target, secret) as client:
            report = await _session(client, wavs)
        after = await _model_requests(stack)
    except grpc.aio.AioRpcError as error:
        return Report(stopped=f"{error.code().name}: {error.details()}")
    except (Stopped, aiohttp.ClientError, OSError) as error:
        return Report(stopped=str(error) or type(error).__name__)
    if before is not None and after is not None:
        report.model_requests = after - before
    _print_summary(report)
    return report


async def _session(client: SessionApi, wavs: dict[str, Path]) -> Report:
    """Create a session, talk in it, end it."""
    shorter = api.SessionOverrides(max_output_tokens=script.MAX_OUTPUT_TOKENS)
    created = await client.create(script.CHARACTER, overrides=shorter)
    session_id = created.session.session_id
    print(show.heading(f"session {session_id}, character {script.CHARACTER}"), flush=True)
    try:
        async with (
            await Caller.join(created.livekit_url, created.participant_token) as caller,
            Watch(client, session_id, lambda event: _print_event(watch, event)) as watch,
        ):
            stage = Stage(client, session_id, caller=caller, watch=watch, wavs=wavs)
            try:
                await stage.perform()
            except Stopped as reason:
                stage.report.stopped = str(reason)
            except (grpc.aio.AioRpcError, OSError) as error:
                stage.report.stopped = f"{type(error).__name__}: {error}"
            stage.report.errors = watch.errors
            await stage.understand()
            return stage.report
    finally:
        with suppress(grpc.aio.AioRpcError):
            await client.end(session_id)


def _print_event(watch: Watch, event: api.SessionEvent) -> None:
    """Both sides as it goes: what was understood, and each sentence when it begins to be heard."""
    line = ""
    if event.HasField("user") and event.user.step == api.UserEvent.STEP_TRANSCRIPT:
        line = show.words("", f"[understood: {event.user.text}]")
    elif event.HasField("agent") and event.agent.step == api.AgentEvent.STEP_PLAYBACK:
        sentences = watch.sentences(event.agent.turn)
        if event.agent.sentence < len(sentences):
            line = show.words("Nova", sentences[event.agent.sentence])
    elif event.HasField("turn") and event.turn.step == api.TurnEvent.STEP_INTERRUPTED:
        line = show.words("", f"[cut off after: {event.turn.heard_text}]")
    elif event.HasField("error"):
        line = show.words("", f"[error: {watch.errors[-1]}]")
    if line:
        print(line, flush=True)


def _print_summary(report: Report) -> None:
    if not report.answers:
        return
    print(show.heading("what the listener heard, recognised again"))
    for answer in report.answers:
        print(show.words(answer.name, answer.recognised or "(nothing)"))
    print(show.heading("latency"))
    print(show.table(report.answers))
    print(f"\n{show.paragraph(show.HOW_MEASURED)}\n\n{show.model_count(report)}", flush=True)


async def _model_requests(stack: LocalStack) -> int | None:
    """How many chat requests the embedded model server has had; None with one from outside."""
    if stack.settings.get(OUTSIDE_LLM):
        return None
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{stack.model_server_url}/metrics") as answer,
    ):
        return int(sum(float(count) for count in _COUNTED.findall(await answer.text())))


async def _serve_on(stack: LocalStack, secret: str) -> None:
    """Until the process is told to end."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    print(
        f"\nServing until Ctrl-C.\n"
        f"  talk to it   {stack.page_url}/\n"
        f"  session API  {stack.grpc_target}, visavis.session.v1.SessionService,\n"
        f"               metadata `authorization: Bearer {secret}`",
        flush=True,
    )
    await told.wait()


if __name__ == "__main__":
    main()
