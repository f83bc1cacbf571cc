"""Who has the floor: when the person's voice stops the avatar, and when the avatar may go on."""

from visavis_egress.conversation import commands as do
from visavis_egress.conversation.answer import Answer
from visavis_egress.conversation.backchannel import is_backchannel, word_count
from visavis_egress.conversation.commands import Command
from visavis_egress.conversation.config import Timing
from visavis_egress.conversation.dialogue import Dialogue
from visavis_egress.conversation.listening import Ear
from visavis_egress.conversation.recognition import Heard, Recognition


class Floor:
    """Stops at once and finds out afterwards: what was no turn gives the avatar its floor back."""

    def __init__(
        self, timing: Timing, ear: Ear, recognition: Recognition, dialogue: Dialogue
    ) -> None:
        self._timing, self._ear = timing, ear
        self._recognition, self._dialogue = recognition, dialogue
        self._first_sound_at: float | None = None
        self._is_low = False

    def advance(self, now: float) -> list[Command]:
        """Stop, lower the voice, decide about what was stopped."""
        out = self._pause_if_due(now)
        out += self._judge(now)
        return out + self._duck(now)

    def is_no_turn(self, heard: Heard) -> bool:
        """What was said leaves the floor to the avatar."""
        if not heard.text or self._recognition.taking.manual:
            return not heard.text  # who presses a button wants the turn
        if not self._dialogue.interrupted:
            return False
        is_noise = heard.longest_burst_s < self._timing.short_word_s
        if is_noise and not self._dialogue.is_paused:
            return True
        return self._is_sign(heard.text, heard.longest_burst_s)

    def _is_sign(self, words: str, burst_s: float) -> bool:
        """A sign of attention, and not the reply to the question that the avatar ended with."""
        if burst_s >= self._timing.surely_a_turn_s or not is_backchannel(words):
            return False
        answer = self._dialogue.interrupted
        return not words or not answer or answer.rest_s > self._timing.reply_s

    def _is_speaking(self, now: float) -> bool:
        return self._ear.is_open and self._ear.silence_s(now) <= self._timing.burst_gap_s

    def _pause_if_due(self, now: float) -> list[Command]:
        answer = self._dialogue.answer
        if answer and answer.is_audible and self._first_sound_at is None:
            self._first_sound_at = now
        if not answer or not self._is_speaking(now) or not self.may_stop(answer):
            return []
        taking = self._recognition.taking
        spoken_s = self._ear.burst_s
        bar_s, words = taking.interrupt_thinking_after_s, taking.interrupt_thinking_words
        if answer.is_audible:
            bar_s, words = taking.interrupt_after_s, taking.interrupt_words
            if self._is_guarded(now):
                spoken_s, bar_s = self._ear.sure_burst_s, self._timing.echo_interrupt_s
        if spoken_s < bar_s and not taking.manual:
            return []
        if word_count(self._recognition.words_so_far) < words:
            return []
        return self._dialogue.pause(now)

    def may_stop(self, answer: Answer) -> bool:
        """Speech of the person may stop it now."""
        return self._recognition.taking.interruptible and answer.is_interruptible

    def _is_guarded(self, now: float) -> bool:
        since = self._first_sound_at
        return since is not None and now - since < self._timing.echo_guard_s

    def _judge(self, now: float) -> list[Command]:
        """What was stopped ends for good, or goes on; what was no turn is soon forgotten."""
        is_paused = self._dialogue.is_paused
        if is_paused and self._recognition.is_idle:
            return self._dialogue.resume()
        if not self._dialogue.interrupted or self._recognition.taking.manual:
            return []  # with push-to-talk the button says when it is over
        words, burst_s = self._recognition.words, self._ear.longest_burst_s
        if is_paused and burst_s >= self._timing.surely_a_turn_s:
            return self._dialogue.interrupt(now)
        if words is None:
            return []
        if not self._is_sign(words, burst_s):
            return self._dialogue.interrupt(now) if is_paused else []
        if self._ear.silence_s(now) < self._recognition.taking.min_delay_s:
            return []
        self._recognition.forget()
        return self._dialogue.resume() if is_paused else []

    def _duck(self, now: float) -> list[Command]:
        answer = self._dialogue.answer
        is_low = bool(
            answer
            and answer.is_audible
            and self.may_stop(answer)
            and self._is_speaking(now)
            and self._ear.burst_s >= self._timing.duck_s
        )
        if is_low == self._is_low:
            return []
        self._is_low = is_low
        return [do.Duck(is_low)]
