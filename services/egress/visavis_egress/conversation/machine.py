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
from visavis_egress.conversation.config import Persona, Timing, TurnTaking
from visavis_egress.conversation.dialogue import Dialogue
from visavis_egress.conversation.drafting import Drafting
from visavis_egress.conversation.floor import Floor
from visavis_egress.conversation.listening import Ear
from visavis_egress.conversation.presence import Presence
from visavis_egress.conversation.recognition import Heard, Recognition
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
        taking: TurnTaking | None = None,
    ) -> None:
        known = recovered or Recovered()
        self._persona, self._timing, self._generation = persona, timing, generation
        self._presence = Presence(timing, now, known.elapsed_s)
        self._ear = Ear(timing)
        self._recognition = Recognition(self._ear, timing, taking or TurnTaking())
        self._dialogue = Dialogue(persona, timing, generation, known)
        self._floor = Floor(timing, self._ear, self._recognition, self._dialogue)
        self._drafting = Drafting(timing, self._recognition, self._dialogue)
        self._guess = ""
        self._has_asked_again = self._has_nudged = False
        self._is_seated = self._is_draining = self._is_over = False
        self._shown_state: State | None = None
        self._handlers: dict[type[on.Event], Handler] = {
            on.Tick: lambda _event, _now: [],
            on.PersonJoined: self._on_joined,
            on.PersonLeft: self._on_left,
            on.PersonReplaced: self._on_replaced,
            on.MicrophoneReady: self._on_microphone,
            on.VoiceFrame: self._on_voice,
            on.MicrophoneStalled: self._on_stalled,
            on.MicrophoneFlows: self._on_flows,
            on.TalkPressed: self._on_pressed,
            on.TalkReleased: self._on_released,
            on.Transcribed: self._on_transcribed,
            on.TranscribeFailed: self._on_transcribe_failed,
            on.PartlyTranscribed: self._on_partly_transcribed,
            on.TextScored: self._on_text_scored,
            on.SoundScored: self._on_sound_scored,
            on.TextTyped: self._on_typed,
            on.SayRequested: self._on_say,
            on.InterruptRequested: lambda _event, now: self._dialogue.interrupt(now),
            on.PersonaChanged: self._on_persona,
            on.TurnTakingChanged: self._on_turn_taking,
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
        out = self._dialogue.begin()
        if not self._dialogue.next_turn and not (
            self._persona.greeting and self._persona.disclosure
        ):
            out.append(do.RecordPhraseOff("disclosure"))
        return out + self._advance(now)

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
    def stoppable(self) -> int | None:
        """The turn whose answer would be stopped now: running, or paused and perhaps going on."""
        return self._dialogue.interrupted.turn if self._dialogue.interrupted else None

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
        out += self._nudge(now)
        out += self._listen(now)
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
        first = self._persona.disclosure
        text = f"{first} {self._persona.greeting}".strip()
        turn = Turn(0, Origin.GREETING, text, Anchors(now), protected=first)
        return [self._dialogue.commit(turn)]

    def _nudge(self, now: float) -> list[Command]:
        after_s = self._recognition.taking.nudge_after_s
        if (
            self._has_nudged
            or not self._persona.nudge
            or not self._presence.is_silent(now, after_s)
        ):
            return []
        self._has_nudged = True
        return [self._say(self._persona.nudge, now)]

    def _listen(self, now: float) -> list[Command]:
        out = self._recognition.advance(now, self._turn_number)
        may_begin = self._presence.is_there and not self._is_draining
        out += self._drafting.advance(now, self._turn_number, may_begin=may_begin)
        out += self._floor.advance(now)
        if failure := self._recognition.failure(now):
            out += self._not_understood(failure, now)
        if heard := self._recognition.take():
            out += self._answer(heard, now)
        if self._guess and self._recognition.is_idle:
            out.append(self._caption(""))  # it came to nothing
        return out

    def _answer(self, heard: Heard, now: float) -> list[Command]:
        """The person is done: what was said becomes a turn, or nothing."""
        if self._floor.is_no_turn(heard):
            return []
        answer = self._dialogue.answer
        may_stop = not answer or self._floor.may_stop(answer)
        out = self._dialogue.interrupt(now) if may_stop else []
        if self._is_unsure(heard):
            self._has_asked_again = True
            return [*out, self._say(self._persona.pardon, now)]
        self._has_asked_again = False
        anchors = Anchors(heard.speech_end_at, heard.endpoint_at, heard.transcript_at)
        turn = Turn(self._turn_number, Origin.SPEECH, heard.text, anchors)
        return out + self._user_said(turn)

    def _is_unsure(self, heard: Heard) -> bool:
        is_low = 0 < heard.confidence < self._timing.min_confidence
        return is_low and bool(self._persona.pardon) and not self._has_asked_again

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
        if self._dialogue.is_thinking or self._recognition.is_decided:
            return State.THINKING
        if not self._is_seated:
            return State.INITIALIZING
        return State.LISTENING if self._presence.counts_as_there else State.IDLE

    @property
    def _turn_number(self) -> int:
        """The number of the next turn; 0 belongs to the greeting."""
        return max(1, self._dialogue.next_turn)

    def _user_said(self, turn: Turn) -> list[Command]:
        self._has_nudged = False
        # Whoever types in the room sees the text already: a caption would show it twice.
        is_shown = turn.origin is Origin.TEXT and not turn.request_id
        return [
            *([] if is_shown else [self._caption(turn.text)]),
            do.RecordTranscript(turn.number, turn.text),
            self._dialogue.commit(turn),
        ]

    def _caption(self, text: str, *, final: bool = True) -> Command:
        """The words of the person's next turn; a guess is taken back by nothing."""
        segment = self._guess or f"SG_user_{self._generation}_{self._turn_number}"
        self._guess = "" if final else segment
        return do.UserCaption(segment, text, final)

    def _not_understood(self, code: str, now: float) -> list[Command]:
        """Recognition failed: there is nothing to answer, and the person is told so."""
        self._recognition.forget()
        turn = Turn(self._turn_number, Origin.SPEECH, "", Anchors(now), failure=code)
        out = self._dialogue.interrupt(now) if self._dialogue.is_paused else []
        return [*out, self._dialogue.commit(turn)]

    def _say(self, text: str, now: float) -> Command:
        """Speak a phrase of the character's."""
        return self._dialogue.commit(Turn(self._turn_number, Origin.SAY, text, Anchors(now)))

    def _end(self, reason: int) -> list[Command]:
        self._is_over = True
        return [*self._dialogue.end(), do.EndSession(reason)]

    # Taking in events

    def _on_joined(self, _: on.PersonJoined, now: float) -> list[Command]:
        return [do.RecordPresence(joined=True)] if self._presence.joined(now) else []

    def _on_left(self, _: on.PersonLeft, now: float) -> list[Command]:
        self._presence.left(now)
        return []

    def _on_replaced(self, _: on.PersonReplaced, now: float) -> list[Command]:
        # Half a sentence of one person is not the beginning of the other's.
        self._recognition.forget()
        self._ear.forget(keep_s=0.0)
        return [do.RecordPresence(joined=False)] if self._presence.replaced(now) else []

    def _on_microphone(self, _: on.MicrophoneReady, _now: float) -> list[Command]:
        self._presence.heard()
        return []

    def _on_voice(self, event: on.VoiceFrame, now: float) -> list[Command]:
        self._ear.hear(event, now)
        return []

    def _on_stalled(self, _: on.MicrophoneStalled, now: float) -> list[Command]:
        self._ear.stall(now)
        return []

    def _on_flows(self, _: on.MicrophoneFlows, now: float) -> list[Command]:
        self._ear.flow(now)
        return []

    def _on_pressed(self, _: on.TalkPressed, now: float) -> list[Command]:
        if self._recognition.taking.manual:
            self._recognition.press(now)
        return []

    def _on_released(self, _: on.TalkReleased, _now: float) -> list[Command]:
        if self._recognition.taking.manual:
            self._recognition.release()
        return []

    def _on_transcribed(self, event: on.Transcribed, now: float) -> list[Command]:
        asked = self._recognition.transcribed(event, self._dialogue.last_said, now)
        return [*(self._interim() if self._recognition.words else []), *asked]

    def _on_transcribe_failed(self, event: on.TranscribeFailed, _now: float) -> list[Command]:
        self._recognition.failed(event.revision, event.code)
        return []

    def _on_partly_transcribed(self, event: on.PartlyTranscribed, _now: float) -> list[Command]:
        is_news = self._recognition.partly_transcribed(event.revision, event.text)
        return self._interim() if is_news else []

    def _interim(self) -> list[Command]:
        """What is known of the person's words, as a caption that may still change."""
        words = self._recognition.words_so_far
        if not words or self._dialogue.answer:
            return []
        return [self._caption(words, final=False)]

    def _on_text_scored(self, event: on.TextScored, _now: float) -> list[Command]:
        self._recognition.text_scored(event.revision, event.probability)
        return []

    def _on_sound_scored(self, event: on.SoundScored, _now: float) -> list[Command]:
        self._recognition.sound_scored(event.revision, event.probability)
        return []

    def _on_typed(self, event: on.TextTyped, now: float) -> list[Command]:
        self._recognition.forget()
        turn = Turn(self._turn_number, Origin.TEXT, event.text, Anchors(now), event.request_id)
        return self._dialogue.interrupt(now) + self._user_said(turn)

    def _on_say(self, event: on.SayRequested, now: float) -> list[Command]:
        number, text, request_id = self._turn_number, event.text, event.request_id
        protected = "" if event.interruptible else text
        turn = Turn(number, Origin.SAY, text, Anchors(now), request_id, protected=protected)
        return [self._dialogue.commit(turn)]

    def _on_persona(self, event: on.PersonaChanged, _now: float) -> list[Command]:
        self._dialogue.become(event.instructions, event.voice)
        return []

    def _on_turn_taking(self, event: on.TurnTakingChanged, _now: float) -> list[Command]:
        self._recognition.become(event.turn_taking)
        return []

    def _on_committed(self, event: on.TurnCommitted, _now: float) -> list[Command]:
        self._dialogue.commits.done(event.turn)
        return []

    def _on_commit_repeated(self, event: on.CommitRepeated, _now: float) -> list[Command]:
        self._dialogue.commits.forget(event.turn)
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
