"""The conversation: what to do at every moment, given what has happened so far.

Every event is taken in and then everything is decided again, so that no order of arrival can leave
it waiting for something that cannot come. `_advance` is the whole of it at a glance.
"""

from collections.abc import Callable
from typing import Any

from visavis.session.v1 import session_pb2
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Anchors, Command, Origin, State
from visavis_egress.conversation.config import Persona, Timing
from visavis_egress.conversation.dialogue import Dialogue
from visavis_egress.conversation.listening import Ear
from visavis_egress.conversation.presence import Presence
from visavis_egress.conversation.recognition import Recognition
from visavis_egress.conversation.turns import Recovered, Turn

Handler = Callable[[Any, float], list[Command]]


class Conversation:
    """One session's brain. Call `begin` once, then `feed` for every event."""

    def __init__(
        self,
        persona: Persona,
        timing: Timing,
        *,
        generation: int,
        now: float,
        recovered: Recovered | None = None,
    ) -> None:
        known = recovered or Recovered()
        self._persona, self._timing, self._generation = persona, timing, generation
        self._presence = Presence(timing, now, known.elapsed_s)
        self._ear = Ear(timing)
        self._recognition = Recognition(self._ear, timing)
        self._dialogue = Dialogue(persona, timing, generation, known)
        self._is_seated = self._is_draining = self._is_over = False
        self._shown_state: State | None = None
        self._handlers: dict[type[on.Event], Handler] = {
            on.Tick: lambda _event, _now: [],
            on.PersonJoined: self._on_joined,
            on.PersonLeft: self._on_left,
            on.MicrophoneReady: self._on_microphone,
            on.VoiceFrame: self._on_voice,
            on.Transcribed: self._on_transcribed,
            on.TranscribeFailed: self._on_transcribe_failed,
            on.TextTyped: self._on_typed,
            on.SayRequested: self._on_say,
            on.InterruptRequested: lambda _event, now: self._dialogue.interrupt(now),
            on.PersonaChanged: self._on_persona,
            on.TurnCommitted: self._on_committed,
            on.CommitRepeated: self._on_commit_repeated,
            on.SentencesReady: self._dialogue.sentences,
            on.GenerateFailed: self._dialogue.generate_failed,
            on.SpeechArrived: self._dialogue.speech,
            on.SpeechEnded: self._dialogue.speech_ended,
            on.SynthesizeFailed: self._dialogue.synthesize_failed,
            on.PlaybackStarted: self._dialogue.playback_started,
            on.PlaybackFinished: self._dialogue.playback_finished,
            on.AvatarReady: self._on_avatar_ready,
            on.AvatarLost: self._on_avatar_lost,
            on.AvatarFailed: lambda _event, _now: self._end(session_pb2.END_REASON_AVATAR_FAILED),
            on.EndRequested: lambda event, _now: self._end(event.reason),
            on.DrainRequested: self._on_drain,
        }

    def begin(self, now: float) -> list[Command]:
        """The first commands."""
        return self._dialogue.begin() + self._advance(now)

    def feed(self, event: on.Event, now: float) -> list[Command]:
        """Take in an event at `now` (seconds, monotonic) and return what is to be done."""
        if self._is_over:
            return []
        return self._handlers[type(event)](event, now) + self._advance(now)

    @property
    def is_quiet(self) -> bool:
        """Nothing is being said, answered or recognised."""
        return not (self._dialogue.is_busy or self._recognition.is_waiting)

    @property
    def answering(self) -> int | None:
        """The turn whose answer is running."""
        return self._dialogue.answer.turn if self._dialogue.answer else None

    @property
    def epoch(self) -> int:
        """The epoch of the running answer; 0 while there is none."""
        return self._dialogue.answer.epoch if self._dialogue.answer else 0

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """The conversation as heard."""
        return self._dialogue.history

    def checkpoint(self) -> do.SaveCheckpoint:
        """What a successor needs to know."""
        return self._dialogue.checkpoint()

    # Deciding

    def _advance(self, now: float) -> list[Command]:
        if self._is_over:
            return []
        if self._ear.is_open or self._dialogue.has_work or self._recognition.is_waiting:
            self._presence.stirred(now)
        if (reason := self._presence.end_reason(now)) is not None:
            return self._end(reason)
        out = self._let_go(now) if self._presence.has_gone(now) else []
        out += self._greet(now)
        out += self._listen(now)
        out += self._interrupt_if_due(now)
        out += self._dialogue.advance(now)
        if self._presence.is_there and not self._is_draining:
            out += self._dialogue.begin_next(now, is_silent=self._recognition.is_idle)
        out += self._show_state()
        return out

    def _let_go(self, now: float) -> list[Command]:
        """The person has gone, and it was not the connection: nothing is said to nobody."""
        self._recognition.forget()
        return [do.RecordPresence(joined=False), *self._dialogue.interrupt(now)]

    def _greet(self, now: float) -> list[Command]:
        is_first = self._dialogue.next_turn == 0
        if not is_first or not self._persona.greeting or not self._presence.may_greet(now):
            return []
        turn = Turn(0, Origin.GREETING, self._persona.greeting, Anchors(now))
        return [self._dialogue.commit(turn)]

    def _listen(self, now: float) -> list[Command]:
        is_too_short = self._ear.longest_burst_s < self._timing.barge_in_s
        is_over = self._recognition.is_over(now)
        if self._dialogue.answer and is_too_short and is_over:
            # A cough or an "mm-hm" while an answer is made or spoken; a short word then, too.
            self._recognition.forget()
        out = self._recognition.advance(now, self._turn_number)
        if self._recognition.is_late(now):
            out += self._not_understood("ASR_TIMEOUT", now)
        heard = self._recognition.take()
        if heard and heard.text:
            anchors = Anchors(heard.speech_end_at, heard.endpoint_at, heard.transcript_at)
            out += self._user_said(Turn(self._turn_number, Origin.SPEECH, heard.text, anchors))
        return out

    def _interrupt_if_due(self, now: float) -> list[Command]:
        is_speech = self._ear.burst_s >= self._timing.barge_in_s
        is_going_on = self._ear.silence_s(now) <= self._timing.burst_gap_s
        return self._dialogue.interrupt(now) if is_speech and is_going_on else []

    def _show_state(self) -> list[Command]:
        state = self._state()
        if state is self._shown_state:
            return []
        self._shown_state = state
        return [do.SetState(state)]

    def _state(self) -> State:
        answer = self._dialogue.answer
        if answer and answer.is_audible:
            return State.SPEAKING
        if self._dialogue.is_thinking or self._recognition.is_waiting:
            return State.THINKING
        if not self._is_seated:
            return State.INITIALIZING
        return State.LISTENING if self._presence.counts_as_there else State.IDLE

    @property
    def _turn_number(self) -> int:
        """The number of the next turn; 0 belongs to the greeting."""
        return max(1, self._dialogue.next_turn)

    def _user_said(self, turn: Turn) -> list[Command]:
        # Whoever types in the room sees the text already: a caption would show it twice.
        is_shown = turn.origin is Origin.TEXT and not turn.request_id
        caption = do.UserCaption(f"SG_user_{self._generation}_{turn.number}", turn.text)
        return [
            *([] if is_shown else [caption]),
            do.RecordTranscript(turn.number, turn.text),
            self._dialogue.commit(turn),
        ]

    def _not_understood(self, code: str, now: float) -> list[Command]:
        """Recognition failed: there is nothing to answer, and the person is told so."""
        self._recognition.forget()
        turn = Turn(self._turn_number, Origin.SPEECH, "", Anchors(now), failure=code)
        return [self._dialogue.commit(turn)]

    def _end(self, reason: int) -> list[Command]:
        self._is_over = True
        return [*self._dialogue.end(), do.EndSession(reason)]

    # Taking in events

    def _on_joined(self, _: on.PersonJoined, now: float) -> list[Command]:
        return [do.RecordPresence(joined=True)] if self._presence.joined(now) else []

    def _on_left(self, _: on.PersonLeft, now: float) -> list[Command]:
        self._presence.left(now)
        return []

    def _on_microphone(self, _: on.MicrophoneReady, _now: float) -> list[Command]:
        self._presence.heard()
        return []

    def _on_voice(self, event: on.VoiceFrame, now: float) -> list[Command]:
        self._ear.hear(event, now)
        return []

    def _on_transcribed(self, event: on.Transcribed, now: float) -> list[Command]:
        self._recognition.transcribed(event.revision, event.text, now)
        return []

    def _on_transcribe_failed(self, event: on.TranscribeFailed, now: float) -> list[Command]:
        if not self._recognition.expects(event.revision):
            return []
        return self._not_understood(f"ASR_{event.code}", now)

    def _on_typed(self, event: on.TextTyped, now: float) -> list[Command]:
        self._recognition.forget()
        turn = Turn(self._turn_number, Origin.TEXT, event.text, Anchors(now), event.request_id)
        return self._dialogue.interrupt(now) + self._user_said(turn)

    def _on_say(self, event: on.SayRequested, now: float) -> list[Command]:
        turn = Turn(self._turn_number, Origin.SAY, event.text, Anchors(now), event.request_id)
        return [self._dialogue.commit(turn)]

    def _on_persona(self, event: on.PersonaChanged, _now: float) -> list[Command]:
        self._dialogue.become(event.instructions, event.voice)
        return []

    def _on_committed(self, event: on.TurnCommitted, _now: float) -> list[Command]:
        self._dialogue.committed(event.turn)
        return []

    def _on_commit_repeated(self, event: on.CommitRepeated, _now: float) -> list[Command]:
        self._dialogue.repeated(event.turn)
        return []

    def _on_avatar_ready(self, _: on.AvatarReady, _now: float) -> list[Command]:
        self._is_seated = True
        self._dialogue.avatar_ready()
        return []

    def _on_avatar_lost(self, _: on.AvatarLost, now: float) -> list[Command]:
        self._dialogue.avatar_lost(now)
        return []

    def _on_drain(self, _: on.DrainRequested, _now: float) -> list[Command]:
        self._is_draining = True
        return []
