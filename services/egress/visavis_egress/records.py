"""Between the conversation and the contracts: commands to messages and messages to events."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis.session.v1 import session_pb2 as api
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.room import (
    AvatarPlayed,
    AvatarPlays,
    ChatArrived,
    EndAsked,
    InterruptAsked,
    MicrophoneFlows,
    MicrophoneOpened,
    MicrophoneStalled,
    PersonCame,
    PersonReplaced,
    PersonWent,
    RoomEvent,
    TurnEndAsked,
    TurnStartAsked,
)
from visavis_runtime import subjects

ORIGINS = {
    do.Origin.GREETING: api.TurnEvent.ORIGIN_GREETING,
    do.Origin.SPEECH: api.TurnEvent.ORIGIN_SPEECH,
    do.Origin.TEXT: api.TurnEvent.ORIGIN_TEXT,
    do.Origin.SAY: api.TurnEvent.ORIGIN_SAY,
}

_ROOM_FACTS: dict[type[RoomEvent], Callable[[Any], on.Event]] = {
    PersonCame: lambda _: on.PersonJoined(),
    PersonWent: lambda _: on.PersonLeft(),
    PersonReplaced: lambda _: on.PersonReplaced(),
    MicrophoneOpened: lambda _: on.MicrophoneReady(),
    MicrophoneStalled: lambda _: on.MicrophoneStalled(),
    MicrophoneFlows: lambda _: on.MicrophoneFlows(),
    ChatArrived: lambda event: on.TextTyped(event.text),
    InterruptAsked: lambda _: on.InterruptRequested(),
    EndAsked: lambda _: on.EndRequested(api.END_REASON_CLIENT_LEFT),
    TurnStartAsked: lambda _: on.TalkPressed(),
    TurnEndAsked: lambda _: on.TalkReleased(),
    AvatarPlays: lambda _: on.PlaybackStarted(),
    AvatarPlayed: lambda event: on.PlaybackFinished(event.position_s, event.interrupted),
}

Record = tuple[str, api.SessionEvent]
"""A kind of `vv.event` and the fact."""


def committed(command: do.Commit) -> Record:
    """There is something to answer or to say."""
    turn = api.TurnEvent(
        turn=command.turn,
        step=api.TurnEvent.STEP_COMMITTED,
        origin=ORIGINS[command.origin],
        input_text=command.text,
        request_id=command.request_id,
    )
    return "turn", api.SessionEvent(turn=turn)


def beside(command: do.Commit) -> pb.EventRecord:
    """What only a successor needs to know of a committed turn."""
    return pb.EventRecord(floor=command.floor, protected_text=command.protected)


def outcome(command: do.RecordOutcome) -> Record:
    """A turn is over."""
    step = api.TurnEvent.STEP_INTERRUPTED if command.interrupted else api.TurnEvent.STEP_COMPLETED
    turn = api.TurnEvent(
        turn=command.turn,
        step=step,
        origin=ORIGINS[command.origin],
        input_text=command.input_text,
        heard_text=command.heard_text,
        waterfall=_waterfall(command.anchors),
    )
    return "turn", api.SessionEvent(turn=turn)


def resumed(command: do.RecordResumed) -> Record:
    """An answer goes on where a voice that was no turn had stopped it."""
    turn = api.TurnEvent(turn=command.turn, step=api.TurnEvent.STEP_RESUMED)
    return "turn", api.SessionEvent(turn=turn)


def phrase_off(command: do.RecordPhraseOff) -> Record:
    """A phrase of the character is not said in this session."""
    step = api.CharacterEvent.STEP_PHRASE_SWITCHED_OFF
    return "character", api.SessionEvent(
        character=api.CharacterEvent(step=step, phrase=command.phrase)
    )


def transcript(command: do.RecordTranscript) -> Record:
    """The person said something."""
    step = api.UserEvent.STEP_TRANSCRIPT
    user = api.UserEvent(step=step, text=command.text, turn=command.turn)
    return "user", api.SessionEvent(user=user)


def presence(command: do.RecordPresence) -> Record:
    """The person came or left."""
    step = api.UserEvent.STEP_JOINED if command.joined else api.UserEvent.STEP_LEFT
    return "user", api.SessionEvent(user=api.UserEvent(step=step))


def sentence(command: do.RecordSentence) -> Record:
    """A sentence is going to be spoken."""
    agent = api.AgentEvent(
        step=api.AgentEvent.STEP_TEXT,
        text=command.text,
        turn=command.turn,
        sentence=command.sentence,
    )
    return "agent", api.SessionEvent(agent=agent)


def playback(command: do.RecordPlayback) -> Record:
    """Playback reached a sentence."""
    agent = api.AgentEvent(
        step=api.AgentEvent.STEP_PLAYBACK,
        turn=command.turn,
        sentence=command.sentence,
        repeated=command.repeated,
    )
    return "agent", api.SessionEvent(agent=agent)


def state(command: do.SetState) -> Record:
    """The agent's state changed."""
    agent = api.AgentEvent(step=api.AgentEvent.STEP_STATE, state=command.state.value)
    return "agent", api.SessionEvent(agent=agent)


def error(command: do.RecordError) -> Record:
    """Something went wrong."""
    event = api.ErrorEvent(
        stage=command.stage,
        code=command.code,
        message=command.message,
        turn=command.turn,
        apologised=command.apologised,
    )
    return "error", api.SessionEvent(error=event)


def checkpoint(command: do.SaveCheckpoint) -> pb.Checkpoint:
    """What a successor needs."""
    history = [pb.ChatMessage(role=role, content=text) for role, text in command.history]
    return pb.Checkpoint(turn=command.turn, history=history, epoch=command.epoch)


def _waterfall(anchors: do.Anchors) -> api.Waterfall:
    steps = {
        "endpoint": anchors.endpoint,
        "transcript": anchors.transcript,
        "first_sentence": anchors.first_sentence,
        "first_audio": anchors.first_audio,
        "handed_over": anchors.handed_over,
        "playback_started": anchors.playback_started,
    }
    return api.Waterfall(
        **{
            # A step of an answer that was begun early may lie before the person's last word.
            name: _duration(max(0.0, moment - anchors.origin))
            for name, moment in steps.items()
            if moment is not None
        }
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration


def heard_result(result: pb.TranscribeResult) -> on.Event:
    """A recognition result as an event."""
    if result.HasField("error"):
        return on.TranscribeFailed(result.revision, result.error.code)
    return on.Transcribed(result.revision, result.text, result.confidence)


def heard_part(part: pb.PartialTranscript) -> on.Event:
    """What was said so far as an event."""
    return on.PartlyTranscribed(part.revision, part.text)


def generated_result(result: pb.GenerateResult) -> list[on.Event]:
    """A generation result as events: what there is of the answer, then why there is no more."""
    epoch = result.address.epoch
    out: list[on.Event] = []
    if result.sentences or not result.HasField("error"):
        is_complete = result.complete and not result.HasField("error")
        out.append(on.SentencesReady(epoch, tuple(result.sentences), is_complete))
    if result.HasField("error"):
        out.append(on.GenerateFailed(epoch, result.error.code))
    return out


def spoken_result(result: pb.SynthesizeResult) -> on.Event:
    """A failed synthesis as an event."""
    return on.SynthesizeFailed(result.address.epoch, result.sentence, result.error.code)


def speech(piece: pb.Speech) -> on.Event:
    """A piece of speech as an event; a failed synthesis when it is not in the bus' format."""
    epoch = piece.address.epoch
    if piece.WhichOneof("piece") == "end":
        return on.SpeechEnded(epoch, piece.sentence, piece.end.samples)
    chunk = piece.chunk
    if chunk.sample_rate_hz != subjects.SPEECH_RATE_HZ or len(chunk.pcm) % 2:
        return on.SynthesizeFailed(epoch, piece.sentence, "WRONG_AUDIO_FORMAT")
    return on.SpeechArrived(epoch, piece.sentence, chunk.sample_offset, chunk.pcm)


def room_fact(event: RoomEvent) -> on.Event:
    """What happened in the room, as the conversation sees it."""
    return _ROOM_FACTS[type(event)](event)
