"""From voice frames to utterances: where speech starts, how long it is silent, what was said."""

from collections import deque
from dataclasses import dataclass

from visavis_egress.conversation.config import FRAME_S, RATE_IN_HZ, Timing
from visavis_egress.conversation.events import VoiceFrame

_BYTES_PER_S = RATE_IN_HZ * 2


@dataclass(frozen=True, slots=True)
class _Stall:
    """Packets are missing since a moment, and so much silence was heard before."""

    since: float
    silence_s: float


class Ear:
    """Collects one utterance at a time. Knows nothing of turns."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._pre_roll: deque[bytes] = deque(maxlen=round(timing.pre_roll_s / FRAME_S))
        self._stall: _Stall | None = None
        self.is_shut = False
        """The button was let go: what comes now does not belong to the utterance."""
        self._frames_since_voice = self._fresh_frames = 0
        self.needs_press = False
        """Push-to-talk: no utterance begins by itself."""
        self.forget()

    def forget(self, keep_s: float | None = None) -> None:
        """Drop the utterance. The next begins at most `keep_s` before now, or (None) with no sound
        that was in a snapshot of this one."""
        keep = self._fresh_frames if keep_s is None else round(keep_s / FRAME_S)
        while len(self._pre_roll) > keep:
            self._pre_roll.popleft()
        self._sound = bytearray()
        self._levels: list[float] = []
        self._loud_frames = self._sure_loud_frames = 0
        self._burst_frames = self._sure_frames = self._longest_frames = 0
        self._frames_since_mark = 0
        self.is_open = self.is_shut = False
        self.last_voice_at = 0.0
        self.went_on = False

    def hear(self, frame: VoiceFrame, now: float) -> None:
        """Take in one frame that ended at `now`."""
        if self._stall:
            return  # made up by the receiver where packets are missing
        is_loud = frame.probability >= self._timing.start_probability
        is_sure = frame.probability >= self._timing.echo_probability
        self._loud_frames = self._loud_frames + 1 if is_loud else 0
        self._sure_loud_frames = self._sure_loud_frames + is_sure if is_loud else 0
        # Kept while an utterance is open too: the next one may begin the moment this one is taken.
        self._pre_roll.append(frame.pcm)
        self._frames_since_voice += 1
        self._fresh_frames += 1
        if not self.is_open:
            if self._loud_frames >= self._timing.start_frames and not self.needs_press:
                self._open(now)
            return
        if self.is_shut:
            return
        self._sound += frame.pcm
        self._levels.append(frame.probability)
        if self._loud_frames >= self._timing.start_frames:
            self.went_on = True
        if frame.probability >= self._timing.stay_probability:
            self._count(is_sure, now)

    def _count(self, is_sure: bool, now: float) -> None:
        if now - self.last_voice_at > self._timing.burst_gap_s:
            self._burst_frames = self._sure_frames = 0
        self._burst_frames += 1
        self._sure_frames += is_sure
        self._frames_since_mark += 1
        self._frames_since_voice = 0
        self._longest_frames = max(self._longest_frames, self._burst_frames)
        self.last_voice_at = now

    def _open(self, now: float) -> None:
        self.is_open = True
        self._sound = bytearray(b"".join(self._pre_roll))
        self._levels = [1.0] * len(self._pre_roll)
        self._burst_frames = self._longest_frames = self._loud_frames
        self._sure_frames = self._sure_loud_frames
        self._frames_since_voice = 0
        self._frames_since_mark = self._loud_frames
        self.last_voice_at = now

    # Push-to-talk

    def press(self, now: float) -> None:
        """Everything from a little before now on belongs to one utterance."""
        self.forget(self._timing.press_pre_roll_s)
        self._open(now)

    # Missing packets are not silence

    def stall(self, now: float) -> None:
        """Nothing arrives any more; what seemed silence since it began does not count."""
        if not self._stall:
            silence_s = max(0.0, self.silence_s(now) - self._timing.stall_s)
            self._stall = _Stall(now, silence_s)

    def flow(self, now: float) -> None:
        """It arrives again: the silence goes on where it was."""
        if self._stall:
            self.last_voice_at = now - self.silence_s(now)
            self._stall = None

    # What there is

    @property
    def burst_s(self) -> float:
        """Speech since the last longer silence."""
        return self._burst_frames * FRAME_S + self._timing.late_s * (self._burst_frames > 0)

    @property
    def sure_burst_s(self) -> float:
        """The same of what is hardly an echo."""
        return self._sure_frames * FRAME_S + self._timing.late_s * (self._sure_frames > 0)

    @property
    def longest_burst_s(self) -> float:
        """The longest such speech of the utterance."""
        return self._longest_frames * FRAME_S + self._timing.late_s * (self._longest_frames > 0)

    @property
    def since_mark_s(self) -> float:
        """Speech since the last `mark`."""
        return self._frames_since_mark * FRAME_S

    def mark(self) -> None:
        """What is there now was taken; what comes is new."""
        self._frames_since_mark = 0
        self._fresh_frames = self._frames_since_voice
        self.went_on = False

    def silence_s(self, now: float) -> float:
        """Silence since the last voiced frame; packets that stay away for long are silence too."""
        if not self._stall:
            return now - self.last_voice_at
        stalled_s = now - self._stall.since
        is_long = stalled_s >= self._timing.hard_stop_s
        return self._stall.silence_s + (stalled_s if is_long else 0.0)

    @property
    def length_s(self) -> float:
        """Of the sound that was not taken yet."""
        return len(self._sound) / _BYTES_PER_S

    def snapshot(self) -> bytes:
        """The sound of the utterance that was not taken yet, from a little before its start."""
        return bytes(self._sound)

    def take_overlong(self) -> bytes | None:
        """When the utterance outgrew one snapshot: its first part, cut where it was quietest."""
        if len(self._sound) + _BYTES_PER_S * FRAME_S <= self._timing.max_snapshot_s * _BYTES_PER_S:
            return None
        # The second half only: a part should be long, a word should stay whole.
        # Sound goes on coming while a result is waited for, so there may be more than one part's.
        frame_bytes = round(FRAME_S * RATE_IN_HZ) * 2
        fitting = int(self._timing.max_snapshot_s * _BYTES_PER_S) // frame_bytes
        end = min(len(self._levels), fitting + 1)
        quietest = min(range(end // 2, end), key=lambda i: (self._levels[i], -i))
        cut = min(len(self._sound), quietest * frame_bytes)
        part = bytes(self._sound[:cut])
        del self._sound[:cut]
        del self._levels[:quietest]
        return part
