"""Turns and their answers: what is committed, what is being answered, what was heard of it."""

from collections import deque
from dataclasses import replace

from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.answer import Answer
from visavis_egress.conversation.commands import SAID, Command
from visavis_egress.conversation.config import Persona, Timing
from visavis_egress.conversation.history import History
from visavis_egress.conversation.speech import Sentence
from visavis_egress.conversation.turns import Recovered, Turn
from visavis_runtime import subjects

_OUR_FAILURES = {"NO_SPEECH": "tts", "COMMIT_TIMEOUT": "egress"}
"""Failures that are found here, by the stage to look at; recognition's begin with ASR_, the rest
come from the language model stage, which names its own."""


class Dialogue:
    """One answer at a time, in the order of the commits; methods return what is to be done."""

    def __init__(self, persona: Persona, timing: Timing, generation: int, known: Recovered) -> None:
        self._persona, self._timing, self._generation = persona, timing, generation
        self._counter = 0
        self._request = 0
        self._history = History(known.history)
        oldest_open = min((turn.number for turn in known.open_turns), default=known.next_turn)
        self._last_turn = max(0, oldest_open - 1)
        self._committing: dict[int, Turn] = {}
        self._committing_since: dict[int, float] = {}
        self._ready: deque[Turn] = deque(known.open_turns)
        self._stopping: tuple[Answer, float] | None = None
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
        return bool(self.answer or self._stopping or self._committing)

    @property
    def has_work(self) -> bool:
        """Something is being said, or waits for its turn."""
        return bool(self.is_busy or self._ready)

    @property
    def is_thinking(self) -> bool:
        """Something is being committed or answered."""
        return bool(self.answer or self._committing)

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """The conversation as heard."""
        return self._history.entries

    # Turns

    def commit(self, turn: Turn) -> Command:
        """Have the turn stored; it is answered once it is."""
        self.next_turn = turn.number + 1
        self._committing[turn.number] = turn
        return do.Commit(turn.number, turn.origin, turn.text, turn.request_id)

    def committed(self, number: int) -> None:
        """The turn is stored."""
        if turn := self._forget_commit(number):
            self._ready.append(turn)

    def repeated(self, number: int) -> None:
        """The turn was stored before, under another number."""
        self._forget_commit(number)

    def _forget_commit(self, number: int) -> Turn | None:
        self._committing_since.pop(number, None)
        return self._committing.pop(number, None)

    def _give_up_commits(self, now: float) -> None:
        """No word came of a turn's storing: the person is told, and nothing waits for it."""
        for number in tuple(self._committing):
            since = self._committing_since.setdefault(number, now)
            if now - since >= self._timing.commit_timeout_s and (
                turn := self._forget_commit(number)
            ):
                turn.failure = "COMMIT_TIMEOUT"
                self._ready.append(turn)

    def begin_next(self, now: float, *, is_silent: bool) -> list[Command]:
        """Begin the oldest turn that waits; nothing is said over the person's words."""
        if self.answer or self._stopping or not self._ready:
            return []
        if self._ready[0].origin in SAID and not is_silent:
            return []
        turn = self._ready.popleft()
        answer = self.answer = self._new_answer(turn, now)
        if turn.failure:
            answer.failure = turn.failure
            return self._fail(answer, now)
        return self._ask(turn, answer, now)

    def _new_answer(self, turn: Turn, now: float) -> Answer:
        self._counter += 1
        self._request += 1
        epoch = subjects.epoch(self._generation, self._counter)
        answer = Answer(turn, epoch, self._request, self._timing, voice=self._persona.voice)
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
        kept, voice = turn.sentences, answer.voice
        out.append(do.Generate(turn.number, answer.epoch, messages, kept, voice=voice))
        return out + speak + answer.advance(now)

    # The running answer

    def advance(self, now: float) -> list[Command]:
        """Go on with the running answer, and settle one that was stopped."""
        self._give_up_commits(now)
        out: list[Command] = []
        if self._stopping and now >= self._stopping[1]:
            stopped, self._stopping = self._stopping[0], None
            out += self._settle(stopped, is_interrupted=True)
        if not self.answer:
            return out
        out += self.answer.advance(now)
        if self.answer.failure:
            return out + self._fail(self.answer, now)
        if self.answer.is_finished:
            finished, self.answer = self.answer, None
            out += self._settle(finished, is_interrupted=False)
        return out

    def interrupt(self, now: float) -> list[Command]:
        """Stop the running answer; it is settled when the avatar has told how much was heard."""
        if not self.answer:
            return []
        answer, self.answer = self.answer, None
        out: list[Command] = [self._cancel()]
        if not answer.has_sent:
            return out + self._settle(answer, is_interrupted=True)
        self._stopping = (answer, now + self._timing.stop_report_s)
        return [*out, do.StopAudio(answer.request)]

    def end(self) -> list[Command]:
        """Nothing more is said: settle what there is, and what was never begun."""
        out: list[Command] = [self._cancel()]
        if self.answer and self.answer.has_sent:
            out.append(do.StopAudio(self.answer.request))
        unsettled = self.answer or (self._stopping[0] if self._stopping else None)
        self.answer = self._stopping = None
        if unsettled:
            out += self._settle(unsettled, is_interrupted=True)
        while self._ready:
            turn = self._ready.popleft()
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

    def sentences(self, event: on.SentencesReady, now: float) -> list[Command]:
        """All sentences of an attempt so far."""
        if not self.answer or self.answer.epoch != event.epoch:
            return []
        return self.answer.add_sentences(event.sentences, event.complete, now)

    def generate_failed(self, event: on.GenerateFailed, _now: float) -> list[Command]:
        """No answer can be generated."""
        if not self.answer or self.answer.epoch != event.epoch:
            return []
        return self.answer.fail_generation(event.code)

    def speech(self, event: on.SpeechArrived, now: float) -> list[Command]:
        """Samples of a sentence."""
        if event.epoch == self._apology_epoch:
            self._apology.add(event.offset, event.pcm)
        elif self.answer and self.answer.epoch == event.epoch:
            self.answer.add_speech(event.sentence, event.offset, event.pcm, now)
        return []

    def speech_ended(self, event: on.SpeechEnded, _now: float) -> list[Command]:
        """A sentence's end mark."""
        if event.epoch == self._apology_epoch:
            self._apology.close(event.samples)
        elif self.answer and self.answer.epoch == event.epoch:
            return self.answer.end_speech(event.sentence, event.samples)
        return []

    def synthesize_failed(self, event: on.SynthesizeFailed, _now: float) -> list[Command]:
        """A sentence cannot be spoken."""
        if not self.answer or self.answer.epoch != event.epoch:
            return []
        return self.answer.fail_speech(event.sentence, event.code)

    def playback_started(self, _: on.PlaybackStarted, now: float) -> list[Command]:
        """The avatar plays."""
        if self.answer:
            self.answer.playback_started(now)
        return []

    def playback_finished(self, event: on.PlaybackFinished, now: float) -> list[Command]:
        """The avatar has played, or was stopped."""
        if self._stopping:
            answer, self._stopping = self._stopping[0], None
            answer.settle(event.position_s)
            return self._settle(answer, is_interrupted=True)
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

    def avatar_lost(self, now: float) -> None:
        """What the avatar had and did not play is handed over again later."""
        self._has_avatar = False
        if self.answer:
            self.answer.park(now)
