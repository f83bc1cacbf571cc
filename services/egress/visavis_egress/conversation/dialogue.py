"""Turns and their answers: what is committed, what is being answered, what was heard of it."""

from dataclasses import dataclass, replace

from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.answer import Answer
from visavis_egress.conversation.commands import SAID, Command
from visavis_egress.conversation.commits import Commits
from visavis_egress.conversation.config import Persona, Timing
from visavis_egress.conversation.history import History
from visavis_egress.conversation.speculation import Basis, Draft
from visavis_egress.conversation.speech import Sentence
from visavis_egress.conversation.turns import Recovered, Turn
from visavis_runtime import subjects

_OUR_FAILURES = {"NO_SPEECH": "tts", "COMMIT_TIMEOUT": "egress"}
"""Failures that are found here, by the stage to look at; recognition's begin with ASR_, the rest
come from the language model stage, which names its own."""


@dataclass(slots=True)
class _Stop:
    """An answer that was stopped and may go on."""

    answer: Answer
    report_by: float | None
    """Until when the avatar may tell how much was heard; None: that is known."""
    is_final: bool = False
    goes_on: bool = False


class Dialogue:
    """One answer at a time, in the order of the commits; methods return what is to be done."""

    def __init__(self, persona: Persona, timing: Timing, generation: int, known: Recovered) -> None:
        self._persona, self._timing, self._generation = persona, timing, generation
        self._counter = 0
        self._request = 0
        self._history = History(known.history)
        oldest_open = min((turn.number for turn in known.open_turns), default=known.next_turn)
        self._last_turn = max(0, oldest_open - 1)
        self.commits = Commits(known.open_turns, timing.commit_timeout_s)
        self._stop: _Stop | None = None
        self.draft: Draft | None = None
        self._apology = Sentence(persona.apology)
        self._apology_epoch = subjects.epoch(generation, 0)
        self._has_avatar = False
        self.next_turn = known.next_turn
        self.answer: Answer | None = None

    def begin(self) -> list[Command]:
        """Void what older holders left running; have the apology ready before it is needed."""
        epoch, voice = self._apology_epoch, self._persona.voice
        apology = do.Synthesize(0, epoch, 0, 0, self._persona.apology, voice)
        return [do.Cancel(epoch), apology]

    def become(self, instructions: str, voice: str) -> None:
        """Be told this, and speak so, from the next answer on."""
        if voice != self._persona.voice:
            # Prepared in the other voice: where it is needed it is asked for like any sentence.
            self._apology, self._apology_epoch = Sentence(self._persona.apology), 0
        self._persona = replace(self._persona, instructions=instructions, voice=voice)

    @property
    def is_busy(self) -> bool:
        """Something is being committed, answered or stopped."""
        return bool(self.answer or self._stop or self.commits.is_busy)

    @property
    def is_paused(self) -> bool:
        """An answer was stopped by a voice that may turn out to be no turn."""
        return self._stop is not None and not (self._stop.is_final or self._stop.goes_on)

    @property
    def interrupted(self) -> Answer | None:
        """The answer that is being said or made, or was stopped and may go on."""
        return self._stop.answer if self._stop and not self._stop.is_final else self.answer

    @property
    def has_work(self) -> bool:
        """Something is being said, or waits for its turn."""
        return bool(self.is_busy or self.commits.ready)

    @property
    def is_thinking(self) -> bool:
        """Something is being committed or answered."""
        return bool(self.answer or self.commits.is_busy)

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """The conversation as heard."""
        return self._history.entries

    @property
    def last_said(self) -> str:
        """What the avatar said last, as heard."""
        said = [text for role, text in self._history.entries[-1:] if role == "assistant"]
        return said[0] if said else ""

    # Turns

    def commit(self, turn: Turn) -> Command:
        """Have the turn stored; it is answered once it is."""
        self.next_turn = turn.number + 1
        self.commits.begin(turn)
        floor = subjects.epoch(self._generation, self._counter + 1)
        if self.draft and self.draft.answers(turn, self._basis):
            self.draft.is_committed = True
            floor = self.draft.answer.epoch
        number, origin, text, request_id = turn.number, turn.origin, turn.text, turn.request_id
        return do.Commit(number, origin, text, request_id, floor, turn.protected)

    def begin_next(self, now: float, *, is_silent: bool) -> list[Command]:
        """Begin the oldest turn that waits; nothing is said over the person's words."""
        ready = self.commits.ready
        if self.answer or self._stop or not ready:
            return []
        if ready[0].origin in SAID and not is_silent:
            return []
        turn = ready.popleft()
        draft = self.draft
        if draft and draft.answers(turn, self._basis):
            self.draft, self.answer = None, draft.answer
            return draft.release(turn, now) + draft.answer.advance(now)
        out = self.drop_draft(do.Speculation.DROPPED)
        answer = self.answer = self._new_answer(turn, now)
        if turn.failure:
            answer.failure = turn.failure
            return out + self._fail(answer, now)
        return out + self._ask(turn, answer, now)

    def _new_answer(self, turn: Turn, now: float, *, speculative: bool = False) -> Answer:
        self._counter += 1
        self._request += 1
        epoch = subjects.epoch(self._generation, self._counter)
        answer = Answer(
            turn,
            epoch,
            self._request,
            self._timing,
            voice=self._persona.voice,
            speculative=speculative,
        )
        if not self._has_avatar:
            answer.park(now)
        return answer

    def _ask(self, turn: Turn, answer: Answer, now: float) -> list[Command]:
        speak = answer.resume_with(turn.sentences, turn.heard, now)
        answer.is_complete = turn.is_complete
        if turn.is_complete:
            return speak + answer.advance(now)
        answer.asked(now)
        if turn.origin in SAID:
            said, voice = turn.text, answer.voice
            ask = do.Generate(turn.number, answer.epoch, (), turn.sentences, said, voice)
            return [ask, *speak, *answer.advance(now)]
        messages, dropped = self._history.messages(
            self._persona.instructions, turn.text, self._persona.max_context_bytes
        )
        out: list[Command] = []
        if dropped:
            message = f"the {dropped} oldest entries of the conversation were left out"
            out.append(do.RecordError("egress", "CONTEXT_TRIMMED", message, turn.number))
        kept, voice, early = turn.sentences, answer.voice, answer.is_speculative
        ask = do.Generate(turn.number, answer.epoch, messages, kept, voice=voice, speculative=early)
        return [*out, ask, *speak, *answer.advance(now)]

    # Answers that are begun before their turn is over

    @property
    def _basis(self) -> Basis:
        return self._history.entries, self._persona

    def speculate(self, turn: Turn, now: float) -> list[Command]:
        """Begin to answer what may become this turn."""
        answer = self._new_answer(turn, now, speculative=True)
        self.draft = Draft(answer, turn.text, self._basis)
        return self.draft.hold(self._ask(turn, answer, now))

    def drop_draft(self, outcome: do.Speculation) -> list[Command]:
        """Stop what was begun for nothing."""
        if not self.draft:
            return []
        draft, self.draft = self.draft, None
        return [self._cancel(), do.CountSpeculation(draft.answer.epoch, outcome)]

    # The running answer

    def advance(self, now: float) -> list[Command]:
        """Go on with the running answer, and settle one that was stopped."""
        self.commits.give_up(now)
        out: list[Command] = []
        if self._stop and self._stop.report_by is not None and now >= self._stop.report_by:
            out += self._stopped_at(None)
        if not self.answer:
            return out
        out += self.answer.advance(now)
        if self.answer.failure:
            return out + self._fail(self.answer, now)
        if self.answer.is_finished:
            finished, self.answer = self.answer, None
            out += self._settle(finished, is_interrupted=False)
        return out

    def pause(self, now: float) -> list[Command]:
        """Be silent: somebody speaks. It may go on when that was no turn."""
        if not self.answer:
            return []
        answer, self.answer = self.answer, None
        has_sent = answer.has_sent
        answer.halt(now)
        self._stop = _Stop(answer, now + self._timing.stop_report_s if has_sent else None)
        return [do.StopAudio(answer.request)] if has_sent else []

    def interrupt(self, now: float) -> list[Command]:
        """Stop the answer for good; it is settled once it is known how much was heard."""
        out = self.pause(now)
        if not self._stop or self._stop.is_final:
            return out
        self._stop.is_final, self._stop.goes_on = True, False
        out.insert(0, self._cancel())
        return out + (self._stopped_at(None) if self._stop.report_by is None else [])

    def resume(self) -> list[Command]:
        """It was no turn: what was stopped goes on, from what was heard of it."""
        assert self._stop
        self._stop.goes_on = True
        return self._go_on() if self._stop.report_by is None else []

    def _stopped_at(self, position_s: float | None) -> list[Command]:
        """How much was heard is known, by the avatar's word or (None) by our clock."""
        stop = self._stop
        assert stop
        if stop.report_by is not None:
            stop.answer.settle(position_s)
            stop.report_by = None
        if stop.goes_on:
            return self._go_on()
        if not stop.is_final:
            return []
        self._stop = None
        return self._settle(stop.answer, is_interrupted=True)

    def _go_on(self) -> list[Command]:
        assert self._stop
        answer = self.answer = self._stop.answer
        self._stop = None
        if self._has_avatar:
            self._request += 1
            answer.unpark(self._request)
        return [do.RecordResumed(answer.turn)]

    def end(self) -> list[Command]:
        """Nothing more is said: settle what there is, and what was never begun."""
        out: list[Command] = self.drop_draft(do.Speculation.DROPPED) or [self._cancel()]
        if self.answer and self.answer.has_sent:
            out.append(do.StopAudio(self.answer.request))
        unsettled = self.answer or (self._stop.answer if self._stop else None)
        self.answer = self._stop = None
        if unsettled:
            out += self._settle(unsettled, is_interrupted=True)
        while self.commits.ready:
            turn = self.commits.ready.popleft()
            unsaid = Answer(turn, 0, 0, self._timing)
            unsaid.resume_with(turn.sentences, turn.heard, 0.0)
            out += self._settle(unsaid, is_interrupted=True)
        return out

    def checkpoint(self) -> do.SaveCheckpoint:
        """What a successor needs to know."""
        newest = subjects.epoch(self._generation, self._counter)
        history = self._history.latest(self._persona.max_context_bytes)
        return do.SaveCheckpoint(self._last_turn, history, newest)

    def _cancel(self) -> Command:
        return do.Cancel(subjects.epoch(self._generation, self._counter + 1))

    def _settle(self, answer: Answer, *, is_interrupted: bool) -> list[Command]:
        """The turn is over: what was heard becomes history."""
        if answer.origin not in SAID:
            self._history.add("user", answer.input_text)
        self._history.add("assistant", answer.heard)
        self._last_turn = max(self._last_turn, answer.turn)
        outcome = do.RecordOutcome(
            answer.turn,
            answer.origin,
            answer.input_text,
            answer.heard,
            is_interrupted,
            answer.anchors,
            answer.epoch,
        )
        return [*answer.close_caption(), outcome, self.checkpoint()]

    def _fail(self, answer: Answer, now: float) -> list[Command]:
        """An answer that cannot be given: say the apology instead, once."""
        if answer.is_apology:
            self.answer = None
            return self._settle(answer, is_interrupted=False)
        code = answer.failure or ""
        stage = "asr" if code.startswith("ASR_") else _OUR_FAILURES.get(code, "llm")
        message = "the turn could not be answered"
        out: list[Command] = [
            do.RecordError(stage, code, message, answer.turn, apologised=True),
            self._cancel(),
        ]
        turn = Turn(answer.turn, answer.origin, answer.input_text, answer.anchors)
        sorry = self.answer = self._new_answer(turn, now)
        sorry.apologise(self._persona.apology, self._apology if self._apology.is_whole else None)
        return out + sorry.advance(now)

    # What arrives

    def _attempt(self, epoch: int) -> Answer | None:
        """The attempt that is being made under this epoch, spoken, held back or paused."""
        draft = self.draft.answer if self.draft else None
        stopped = self._stop.answer if self._stop and not self._stop.is_final else None
        known = (self.answer, draft, stopped)
        return next((one for one in known if one and one.epoch == epoch), None)

    def _tell(self, answer: Answer, commands: list[Command]) -> list[Command]:
        if self.draft and self.draft.answer is answer:
            return self.draft.hold(commands)
        return commands

    def sentences(self, event: on.SentencesReady, now: float) -> list[Command]:
        """All sentences of an attempt so far."""
        if not (answer := self._attempt(event.epoch)):
            return []
        return self._tell(answer, answer.add_sentences(event.sentences, event.complete, now))

    def generate_failed(self, event: on.GenerateFailed, _now: float) -> list[Command]:
        """No answer can be generated."""
        if not (answer := self._attempt(event.epoch)):
            return []
        return self._tell(answer, answer.fail_generation(event.code))

    def speech(self, event: on.SpeechArrived, now: float) -> list[Command]:
        """Samples of a sentence."""
        if event.epoch == self._apology_epoch:
            self._apology.add(event.offset, event.pcm)
        elif answer := self._attempt(event.epoch):
            answer.add_speech(event.sentence, event.offset, event.pcm, now)
        return []

    def speech_ended(self, event: on.SpeechEnded, _now: float) -> list[Command]:
        """A sentence's end mark."""
        if event.epoch == self._apology_epoch:
            self._apology.close(event.samples)
        elif answer := self._attempt(event.epoch):
            return self._tell(answer, answer.end_speech(event.sentence, event.samples))
        return []

    def synthesize_failed(self, event: on.SynthesizeFailed, _now: float) -> list[Command]:
        """A sentence cannot be spoken."""
        if not (answer := self._attempt(event.epoch)):
            return []
        return self._tell(answer, answer.fail_speech(event.sentence, event.code))

    def playback_started(self, _: on.PlaybackStarted, now: float) -> list[Command]:
        """The avatar plays."""
        if self.answer:
            self.answer.playback_started(now)
        return []

    def playback_finished(self, event: on.PlaybackFinished, now: float) -> list[Command]:
        """The avatar has played, or was stopped."""
        if self._stop and self._stop.report_by is not None:
            return self._stopped_at(event.position_s)
        if self.answer and not event.interrupted:
            self.answer.playback_finished(now)
        return []

    def avatar_ready(self) -> None:
        """Audio can be handed over (again)."""
        if self._has_avatar:
            return
        self._has_avatar = True
        if self.answer:
            self._request += 1
            self.answer.unpark(self._request)
        if self.draft:
            self.draft.answer.unpark(self.draft.answer.request)

    def avatar_lost(self, now: float) -> None:
        """What the avatar had and did not play is handed over again later."""
        self._has_avatar = False
        for answer in (self.answer, self.draft.answer if self.draft else None):
            if answer:
                answer.park(now)
