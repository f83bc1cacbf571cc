"""From an utterance to its words: snapshots, revisions, scores, in whatever order they arrive.

A snapshot is recognised at the first dip of the voice, before it is known whether the person is
done; when the person goes on, it is void and the next dip makes another.
"""

from dataclasses import dataclass, field, replace

from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Command
from visavis_egress.conversation.config import RATE_IN_HZ, Timing, TurnTaking
from visavis_egress.conversation.endpointing import TEXT_GOING_ON, Evidence, Score, wait_s
from visavis_egress.conversation.listening import Ear

_SCORED_BYTES = 8 * RATE_IN_HZ * 2
"""What smart-turn looks at: the last 8 s."""
_NONE = Score(is_pending=False)


@dataclass(frozen=True, slots=True)
class Heard:
    """A finished utterance and when its steps happened."""

    text: str
    speech_end_at: float
    endpoint_at: float
    transcript_at: float
    longest_burst_s: float
    confidence: float = 0.0


@dataclass(slots=True)
class _Snapshot:
    """A piece of the utterance on its way to text."""

    revision: int
    asked_at: float
    speech_end_at: float
    text: str | None = None
    text_at: float = 0.0
    confidence: float = 0.0
    failure: str = ""
    text_score: Score = field(default_factory=Score)
    sound_score: Score = field(default_factory=Score)
    sound_asked_at: float | None = None


class Recognition:
    """One utterance's way to text.

    Parts exist because a snapshot holds 28 s at most. Revisions rise over the holder's whole life:
    no result can be taken for another's.
    """

    def __init__(self, ear: Ear, timing: Timing, taking: TurnTaking) -> None:
        self._ear, self._timing = ear, timing
        self._revision = 0
        self._void: _Snapshot | None = None
        """The last one that the person spoke on over, while a worker is still at it."""
        self.forget()
        self.become(taking)

    def become(self, taking: TurnTaking) -> None:
        """Take turns so from now on."""
        was_manual = self._ear.needs_press
        # One rule for sessions and deployments: what is not stored is not shown to the model.
        may_speculate = taking.speculation and not self._timing.stateful_model
        self.taking = replace(taking, speculation=may_speculate)
        self._ear.needs_press = taking.manual
        if taking.manual and not was_manual:
            self.release()  # nobody lets go of a button that was not pressed
        elif was_manual and not taking.manual:
            self._ear.is_shut = False
            if not self._ear.longest_burst_s:
                self.forget()  # nothing was said, so that no silence ends it

    def forget(self) -> None:
        """Drop the utterance and whatever is still being recognised of it."""
        self._ear.forget()
        self._parts: list[_Snapshot] = []
        self._open: _Snapshot | None = None
        self._partial: tuple[int, float] | None = None
        self._partial_text = ""
        self._endpoint_at: float | None = None

    # What there is

    @property
    def _snapshots(self) -> list[_Snapshot]:
        """All pieces of the utterance; the open one, if there is one, is the last."""
        return [*self._parts, *([self._open] if self._open else [])]

    @property
    def is_waiting(self) -> bool:
        """Something was sent to be recognised, and what becomes of it is not decided."""
        return bool(self._open or self._parts)

    @property
    def is_decided(self) -> bool:
        """The turn is over, and its text is not there yet."""
        return self._endpoint_at is not None

    @property
    def is_idle(self) -> bool:
        """Nobody is speaking and nothing is being recognised."""
        return not self._ear.is_open and not self._parts

    @property
    def words(self) -> str | None:
        """All that was said, while the newest snapshot is the whole of it; None: not known."""
        if self._open is None:
            return None
        texts = [snapshot.text for snapshot in self._snapshots]
        known = [text for text in texts if text is not None]
        return " ".join(filter(None, known)) if len(known) == len(texts) else None

    def are_worth_answering(self, now: float) -> bool:
        """The words may be all: their score is late, or it or the silence says so."""
        assert self._open
        score = self._open.text_score
        if self.taking.manual:
            return True
        if score.is_pending:
            return now - self._open.text_at >= self._timing.draft_wait_s
        is_going_on = score.value is not None and score.value < TEXT_GOING_ON
        return not is_going_on or self._ear.silence_s(now) >= self.taking.mid_delay_s

    @property
    def words_so_far(self) -> str:
        """What is known of the words, though the person may be further."""
        return self.words or self._partial_text

    @property
    def spoken_on_s(self) -> float:
        """Speech since the newest snapshot."""
        return self._ear.since_mark_s

    def failure(self, now: float) -> str:
        """Why there will be no text; empty: nothing is known to be wrong."""
        for snapshot in self._snapshots if self.is_decided else self._parts:
            if snapshot.failure:
                return snapshot.failure
            if snapshot.text is None and now - snapshot.asked_at >= self._timing.asr_timeout_s:
                return "ASR_TIMEOUT"
        return ""

    def _is_over(self, now: float) -> bool:
        """The person has been silent for as long as the endpointing rule waits."""
        if self.taking.manual:
            return self._ear.is_shut
        wait = min(wait_s(self.taking, self._evidence(now)), self._timing.hard_stop_s)
        return self._ear.silence_s(now) >= wait

    def _evidence(self, now: float) -> Evidence:
        assert self._open
        text_score = self._open.text_score
        if text_score.is_pending and now - self._open.text_at >= self._timing.score_timeout_s:
            text_score = _NONE
        return Evidence(self.words, text_score, self._open.sound_score)

    # Push-to-talk

    def press(self, now: float) -> None:
        """The button is down: an utterance begins, or goes on if it is still being recognised."""
        if not self._ear.is_open:
            self._ear.press(now)
        self._ear.is_shut, self._endpoint_at = False, None

    def release(self) -> None:
        """The button is up: the utterance is over."""
        self._ear.is_shut = self._ear.is_open

    # What to do next

    def advance(self, now: float, turn: int) -> list[Command]:
        """Ask for what has become ready to be recognised or scored."""
        out: list[Command] = []
        if self.taking.manual and self._ear.silence_s(now) >= self._timing.held_s:
            self.release()  # the word of it was lost
        if self._open and self._ear.went_on:
            # The person went on: the snapshot was not the end, its text is of no use.
            self._partial_text = self._open.text or self._partial_text
            self._void = self._open if self._open.text is None else self._void
            self._open = self._endpoint_at = None
        if not self.is_decided and (part := self._ear.take_overlong()):
            self._open = None
            self._parts.append(self._snapshot(now))
            out.append(do.Transcribe(turn, self._revision, part))
        if self._ear.is_open and self._open is None:
            out += self._ask(now, turn)
        if self._open:
            out += self._score_sound(now)
            if not self.is_decided and self._is_over(now):
                self._endpoint_at = now
        return out

    def _ask(self, now: float, turn: int) -> list[Command]:
        if not self._ear.length_s:
            if self._ear.is_shut:
                self.forget()
            return []
        is_dip = self._ear.longest_burst_s > 0 and self._ear.silence_s(now) >= self._dip_s(now)
        if is_dip or self._ear.is_shut:
            self._open, self._partial = self._snapshot(now), None
            return [do.Transcribe(turn, self._revision, self._ear.snapshot())]
        since = self._partial[1] if self._partial else 0.0
        share_s = self._ear.length_s * self._timing.partial_share
        if self._ear.since_mark_s - since < max(self._timing.partial_s, share_s):
            return []
        self._revision += 1
        self._partial = self._revision, self._ear.since_mark_s
        return [do.Transcribe(turn, self._revision, self._ear.snapshot(), partial=True)]

    def _dip_s(self, now: float) -> float:
        """One at a time, else the snapshots of a quick speaker keep the workers from the last."""
        is_busy = self._void and now - self._void.asked_at < self._timing.asr_timeout_s
        return max(self.taking.dip_s, self.taking.min_delay_s) if is_busy else self.taking.dip_s

    def _snapshot(self, now: float) -> _Snapshot:
        self._revision += 1
        self._ear.mark()
        return _Snapshot(self._revision, now, self._ear.last_voice_at)

    def _score_sound(self, now: float) -> list[Command]:
        snapshot = self._open
        if not snapshot or snapshot.sound_asked_at is not None or self.taking.manual:
            return []
        if self._ear.silence_s(now) < self._timing.sound_score_s:
            return []
        snapshot.sound_asked_at = now
        return [do.ScoreSound(snapshot.revision, self._ear.snapshot()[-_SCORED_BYTES:])]

    # What arrives

    def transcribed(self, event: on.Transcribed, before: str, now: float) -> list[Command]:
        """Take in a result; one that nobody waits for is dropped. `before`: the avatar's words."""
        self._settle(event.revision)
        snapshot = self._awaited(event.revision)
        if not snapshot or snapshot.text is not None:
            return []
        snapshot.text, snapshot.text_at = event.text.strip(), now
        snapshot.confidence = event.confidence
        if snapshot is not self._open or not snapshot.text or self.taking.manual:
            return []
        if not self.taking.speculation:
            # A model that acts or remembers is asked nothing before the turn is stored.
            self.text_scored(event.revision, snapshot.text_score.value)
            return []
        return [do.ScoreText(snapshot.revision, self.words or snapshot.text, before)]

    def failed(self, revision: int, code: str) -> None:
        """Recognition gave up on a snapshot."""
        self._settle(revision)
        if snapshot := self._awaited(revision):
            snapshot.failure = f"ASR_{code}"

    def _settle(self, revision: int) -> None:
        if self._void and self._void.revision == revision:
            self._void = None

    def partly_transcribed(self, revision: int, text: str) -> bool:
        """Take in the words so far; False when the person is further than that."""
        if not self._partial or self._partial[0] != revision or self._open:
            return False
        texts = (*(part.text for part in self._parts), text.strip())
        self._partial_text = " ".join(filter(None, texts))
        return True

    def text_scored(self, revision: int, probability: float | None) -> None:
        """Take in what the words look like."""
        if self._open and self._open.revision == revision:
            self._open.text_score = Score(False, probability)

    def sound_scored(self, revision: int, probability: float | None) -> None:
        """Take in what the sound looks like."""
        if self._open and self._open.revision == revision:
            self._open.sound_score = Score(False, probability)

    def _awaited(self, revision: int) -> _Snapshot | None:
        return next((one for one in self._snapshots if one.revision == revision), None)

    def take(self) -> Heard | None:
        """The finished utterance, once; None while something of it is missing."""
        words, last = self.words, self._open
        if self._endpoint_at is None or words is None or last is None:
            return None
        heard = Heard(
            words,
            last.speech_end_at,
            self._endpoint_at,
            max(one.text_at for one in self._snapshots),
            self._ear.longest_burst_s,
            min(one.confidence for one in self._snapshots),
        )
        # The next utterance begins with no sound of this one.
        self.forget()
        return heard
