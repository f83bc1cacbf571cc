"""One attempt at an answer: its sentences, their sound, their playback, their time-outs."""

from visavis_egress.conversation.commands import (
    SAID,
    AgentCaption,
    Command,
    EndAudio,
    PlayAudio,
    RecordError,
    RecordPlayback,
    RecordSentence,
    RepairSpeech,
    Synthesize,
)
from visavis_egress.conversation.config import Timing
from visavis_egress.conversation.playback import Playback, heard_text, sentence_at
from visavis_egress.conversation.speech import Sentence
from visavis_egress.conversation.turns import Turn
from visavis_runtime.subjects import SPECULATIVE_SENTENCES


class Answer:
    """Everything about one attempt.

    `advance` says what to do next; `failure` says why it cannot go on.
    """

    def __init__(
        self,
        turn: Turn,
        epoch: int,
        request: int,
        timing: Timing,
        *,
        voice: str = "",
        speculative: bool = False,
    ) -> None:
        self.epoch, self.request, self.voice = epoch, request, voice
        self._become(turn)
        self._timing = timing
        self.is_speculative = self._is_held = speculative
        self.sentences: list[Sentence] = []
        self.is_complete = False
        self.is_apology = False
        self.is_finished = False
        self.failure: str | None = None
        self._play = Playback(timing)
        self._asked_at: float | None = None
        self._is_parked = False
        self._due = (-1, 0.0)
        self._played_out_at: float | None = None
        self._early: dict[int, list[tuple[int, bytes | None]]] = {}
        self._shown = ""
        self._announced = -1

    def _become(self, turn: Turn) -> None:
        self.turn, self.origin, self.input_text = turn.number, turn.origin, turn.text
        self.anchors = turn.anchors
        self._protected = len(turn.protected)

    def release(self, turn: Turn, now: float) -> list[Command]:
        """Its turn is committed: what was held back may be told, heard and waited for."""
        early, self._is_held = self.anchors, False
        self._become(turn)
        self.anchors.first_sentence = early.first_sentence
        self.anchors.first_audio = early.first_audio
        out: list[Command] = []
        for index, sentence in enumerate(self.sentences):
            if sentence.asked_at is None:
                out.append(self._ask(index))
            sentence.asked_at = now
        self._asked_at = now
        return out

    # What arrives

    def asked(self, now: float) -> None:
        """The language model stage has been asked."""
        self._asked_at = now

    def resume_with(self, texts: tuple[str, ...], heard: int, now: float) -> list[Command]:
        """Continue what a holder before this one began: `heard` of these sentences were spoken."""
        self.sentences = [
            Sentence(text, is_heard=index < heard) for index, text in enumerate(texts)
        ]
        if heard < len(texts):
            self.sentences[heard].repeated = True
        for sentence in self.sentences[heard:]:
            sentence.asked_at = now
        return [self._ask(index) for index in range(heard, len(texts))]

    def apologise(self, text: str, prepared: Sentence | None) -> None:
        """Say this instead. Without prepared sound it is asked for like that of any sentence."""
        self.is_apology = self.is_complete = True
        sentence = Sentence(text)
        if prepared:
            sentence.add(0, bytes(prepared.pcm))
            sentence.close(len(prepared.pcm) // 2)
        self.sentences = [sentence]

    def add_sentences(self, texts: tuple[str, ...], is_complete: bool, now: float) -> list[Command]:
        """Take in all sentences so far; known ones stay as they are."""
        if self.is_complete or self.failure:
            return []  # whole, cut or given up: its end has been handed over, or soon will be
        out: list[Command] = []
        for index in range(len(self.sentences), len(texts)):
            sentence = Sentence(texts[index])
            self.sentences.append(sentence)
            out.append(RecordSentence(self.turn, index, texts[index]))
            if not self.is_speculative or index < SPECULATIVE_SENTENCES:
                sentence.asked_at = now  # the language model stage has asked for its sound
            elif not self._is_held:
                sentence.asked_at = now
                out.append(self._ask(index))
            for offset, pcm in self._early.pop(index, ()):
                if pcm is None:
                    out += self._close(sentence, offset)
                else:
                    sentence.add(offset, pcm)
        if self.sentences and self.anchors.first_sentence is None:
            self.anchors.first_sentence = now
        self.is_complete = self.is_complete or is_complete
        if self.is_complete and not self.sentences:
            self.failure = "EMPTY_ANSWER"
        return out

    def add_speech(self, index: int, offset: int, pcm: bytes, now: float) -> None:
        """Take in samples of a sentence; speech may overtake the sentence's text."""
        if self.anchors.first_audio is None:
            self.anchors.first_audio = now
        if sentence := self._sentence(index):
            sentence.add(offset, pcm)
            sentence.asked_at = now  # it is on its way
        else:
            self._early.setdefault(index, []).append((offset, pcm))

    def end_speech(self, index: int, samples: int) -> list[Command]:
        """Take in a sentence's end mark."""
        if not (sentence := self._sentence(index)):
            self._early.setdefault(index, []).append((samples, None))
            return []
        return self._close(sentence, samples)

    def _close(self, sentence: Sentence, samples: int) -> list[Command]:
        sentence.close(samples)
        if not sentence.has_gap or sentence.is_looked_for:
            return []
        sentence.is_looked_for = True  # once: the search brings the same mark again
        return [RepairSpeech(self.epoch)]

    def fail_speech(self, index: int, code: str) -> list[Command]:
        """A sentence cannot be spoken: leave it out and say so."""
        if not (sentence := self._sentence(index)) or sentence.is_whole:
            return []
        self._play.skip(self.sentences, index)
        return [RecordError("tts", code, f"sentence {index} was left out", self.turn)]

    def fail_generation(self, code: str) -> list[Command]:
        """No more sentences will come; what is there is spoken."""
        if self.is_complete:
            return []
        if not self.sentences:
            self.failure = code
            return []
        self.is_complete = True
        message = "the answer ends after the sentences that were ready"
        return [RecordError("llm", code, message, self.turn)]

    def _sentence(self, index: int) -> Sentence | None:
        return self.sentences[index] if index < len(self.sentences) else None

    # Playback reports

    def playback_started(self, now: float) -> None:
        """The avatar reports the start."""
        if self._play.sent_s > self._play.position_s:
            self._play.start(now)
            self._note_start(now)

    def playback_finished(self, now: float) -> None:
        """The avatar reports the end of what it was given."""
        if self._play.is_ended and self._play.has_open_request:
            self._play.finish(now)
            self._note_start(now)
            self.is_finished = True

    def halt(self, now: float) -> None:
        """Be silent from now on; what is on its way to the avatar may still be heard."""
        self._play.advance(now)
        self._is_parked = True

    def settle(self, position_s: float | None) -> None:
        """The avatar has stopped: take its word for where, else our clock's; keep the rest."""
        if position_s is not None:
            self._play.settle(position_s)
        self._play.rewind(self.sentences)
        self._due = (-1, 0.0)

    def park(self, now: float) -> None:
        """The avatar is gone: keep what was not heard."""
        self.halt(now)
        self._play.rewind(self.sentences)

    def unpark(self, request: int) -> None:
        """An avatar is there: go on as a new request."""
        self.request = request
        self._is_parked = False

    # State

    @property
    def is_audible(self) -> bool:
        """Playback is under way."""
        return self._play.is_started

    @property
    def is_interruptible(self) -> bool:
        """Speech of the person may stop it now."""
        if not self._protected:
            return True
        return self._protected < len(self.input_text) and len(self.heard) >= self._protected

    @property
    def rest_s(self) -> float:
        """Sound that was not heard; endless while the answer is made, or nothing was heard."""
        if not self.is_complete or not self.heard:
            return float("inf")
        there_s = sum(sentence.duration_s for sentence in self.sentences)
        return there_s - self._play.position_s

    @property
    def has_sent(self) -> bool:
        """The avatar was given something that may be playing."""
        return self._play.has_open_request

    @property
    def heard(self) -> str:
        """The words heard so far."""
        return heard_text(self.sentences, self._play.position_s)

    # What to do next

    def advance(self, now: float) -> list[Command]:
        """Everything that is due at `now`."""
        if self._is_held:
            return []
        was_started = self._play.is_started
        self._play.advance(now)
        if self._play.is_started and not was_started:
            self._note_start(now)
        out = self._hand_over(now) if not self._is_parked else []
        out += self._follow_playback()
        out += self._watch(now)
        return out

    def _note_start(self, now: float) -> None:
        if self.anchors.playback_started is None:
            self.anchors.playback_started = now

    def _hand_over(self, now: float) -> list[Command]:
        out: list[Command] = []
        while (piece := self._play.next_piece(self.sentences, now)) is not None:
            out.append(PlayAudio(self.request, piece))
            if self.anchors.handed_over is None:
                self.anchors.handed_over = now
        if self._is_too_long():
            self.is_complete = True
            del self.sentences[self._play.waits_for + self._play.is_inside_sentence :]
            out.append(
                RecordError("egress", "ANSWER_CUT", "the answer was cut at a sentence", self.turn)
            )
        if self.is_complete and not self._play.is_ended and self._play.is_drained(self.sentences):
            self._play.is_ended = True
            out += self._end()
        return out

    def _end(self) -> list[Command]:
        """Everything has been handed over."""
        if self._play.has_open_request:
            return [EndAudio(self.request)]
        if self._play.sent_s or any(sentence.is_heard for sentence in self.sentences):
            self.is_finished = True  # all of it was heard before the avatar or the holder was lost
        else:
            self.failure = self.failure or "NO_SPEECH"
        return []

    def _is_too_long(self) -> bool:
        if self.origin in SAID or self.is_apology:
            return False
        following = self._play.waits_for + self._play.is_inside_sentence
        return self._play.sent_s >= self._timing.max_answer_s and following < len(self.sentences)

    def _follow_playback(self) -> list[Command]:
        if not self._play.is_started:
            return []
        out: list[Command] = []
        current = sentence_at(self.sentences, self._play.position_s)
        while self._announced < current:
            self._announced += 1
            sentence = self.sentences[self._announced]
            if not sentence.is_heard:
                out.append(RecordPlayback(self.turn, self._announced, sentence.repeated))
        heard = self.heard
        if len(heard) > len(self._shown):
            out.append(AgentCaption(self.segment, heard[len(self._shown) :]))
            self._shown = heard
        return out

    def close_caption(self) -> list[Command]:
        """The last words of the caption."""
        if not self._shown and not self.heard:
            return []
        rest = self.heard[len(self._shown) :]
        self._shown = self.heard
        return [AgentCaption(self.segment, rest, final=True)]

    @property
    def segment(self) -> str:
        """Caption segment id."""
        return f"SG_agent_{self.epoch:x}"

    # Time-outs

    def _watch(self, now: float) -> list[Command]:
        waits_for = self._play.waits_for
        if self._due[0] != waits_for:
            self._due = (waits_for, now)
        if waits_for < len(self.sentences):
            return self._watch_sentence(waits_for, now)
        if not self.is_complete:
            return self._watch_generation(now)
        self._watch_end(now)
        return []

    def _watch_generation(self, now: float) -> list[Command]:
        """The next sentence, or the first, is not known yet."""
        since = max(self._asked_at or 0.0, self._due[1])
        if self._asked_at is None or now - since < self._timing.first_sentence_timeout_s:
            return []
        return self.fail_generation("LLM_TIMEOUT")

    def _watch_sentence(self, index: int, now: float) -> list[Command]:
        """The sentence whose samples come next: asked for again once, then left out."""
        sentence = self.sentences[index]
        if sentence.is_whole:
            return []  # nothing is missing: the avatar has enough for now, or is not there
        if sentence.asked_at is None:
            sentence.asked_at = now
            return [self._ask(index)]
        since = max(sentence.asked_at, self._due[1])
        if now - since < self._timing.sentence_timeout_s:
            return []
        sentence.asked_at = now
        if not sentence.attempt:
            sentence.attempt = 1
            return [RepairSpeech(self.epoch), self._ask(index)]
        return self.fail_speech(index, "TTS_TIMEOUT")

    def _watch_end(self, now: float) -> None:
        """No report of the end may come: then our clock says when it is over."""
        is_played_out = self._play.is_started and self._play.position_s >= self._play.sent_s
        if not (self._play.is_ended and is_played_out):
            self._played_out_at = None
            return
        if self._played_out_at is None:
            self._played_out_at = now
        if now - self._played_out_at >= self._timing.finish_report_s:
            self.is_finished = True

    def _ask(self, index: int) -> Synthesize:
        sentence = self.sentences[index]
        text, attempt = sentence.text, sentence.attempt
        return Synthesize(self.turn, self.epoch, index, attempt, text, self.voice)
