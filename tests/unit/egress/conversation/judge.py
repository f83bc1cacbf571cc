"""What must hold of every conversation, whatever happens around it."""

import itertools
import re
from collections import Counter, defaultdict

import numpy as np

from tests.unit.egress.conversation.driver import PERSONA, TIMING, Stage, first_value, frames_of
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import Origin
from visavis_egress.conversation.config import RATE_OUT_HZ
from visavis_egress.conversation.history import History
from visavis_egress.conversation.turns import Recovered

Place = tuple[int, int]
"""An epoch and a sentence."""


class Judge:
    """Watches the commands of one conversation and raises at the first that is wrong.

    `keys`: (epoch, sentence) -> (sound key, samples), filled by the world.
    """

    def __init__(self, stage: Stage, keys: dict[Place, tuple[int, int]], known: Recovered) -> None:
        self._stage, self._keys, self._known = stage, keys, known
        self.voiced: set[int] = set()
        self.committed: set[int] = {turn.number for turn in known.open_turns}
        self.outcomes: Counter[int] = Counter()
        self.commits: dict[int, do.Commit] = {}
        self._given_up: set[int] = set()
        self._committed_at: dict[int, float] = {}
        self._floor = self._asked = 0
        self._requests: dict[int, bytearray] = {}
        self._epoch_of: dict[int, int] = {}
        self._apology_epoch = stage.all(do.Synthesize)[0].epoch
        self._ended: set[int] = set()
        self._void_request = 0
        self._turn_of: dict[int, int] = {turn.number: turn.number for turn in known.open_turns}
        self._texts: dict[Place, str] = {}
        self._left_out: set[tuple[int, int]] = set()
        self._drafts: set[int] = set()
        self._recorded: set[tuple[int, int]] = set()
        self._dropped: set[int] = set()
        """Epochs of drafts that were for nothing."""
        self._paused: set[int] = set()
        """Turns that were stopped and neither resumed nor settled."""
        self._event: on.Event = on.Tick()
        self._gone_at = -1.0
        self._snapshots: dict[int, set[int]] = {}
        self._understood: set[int] = set()
        self._shown_turns: Counter[str] = Counter()
        self._captions: defaultdict[str, str] = defaultdict(str)
        self._history = History(known.history)

    def check(self, holds: bool, what: str) -> None:
        """Raise with the last commands when something does not hold."""
        if not holds:
            tail = [f"{entry.at:.2f} {_short(entry.command)}" for entry in self._stage.log[-60:]]
            raise AssertionError("\n".join((what, *tail)))

    def is_known_request(self, commit: do.Commit) -> bool:
        """This request id was committed before, under another number."""
        return any(
            other.request_id == commit.request_id and other.turn < commit.turn
            for other in self.commits.values()
        )

    def has_voice(self, command: do.Transcribe) -> bool:
        """There is something to be recognised in this snapshot."""
        return bool(self._snapshots[command.revision])

    def hear(self, event: on.Event) -> None:
        """Take note of what the conversation is told."""
        self._event = event
        if isinstance(event, on.TurnCommitted) and event.turn not in self._given_up:
            self.committed.add(event.turn)
        elif isinstance(event, on.AvatarLost):
            self._void_request = max(self._requests, default=0)

    def see(self, command: do.Command) -> None:
        """Judge one command."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(command).__name__).lower()
        if judge := getattr(self, f"_see_{name}", None):
            judge(command)

    # Turns

    def _see_commit(self, commit: do.Commit) -> None:
        newest = max(self.commits, default=self._known.next_turn - 1)
        self.check(commit.turn > newest, "turn numbers rise")
        self.commits[commit.turn] = commit
        self._committed_at[commit.turn] = self._stage.now

    def _see_transcribe(self, command: do.Transcribe) -> None:
        self.check(0 < len(command.pcm) <= 896_000, "a snapshot fits a message")
        self.check(command.revision > max(self._snapshots, default=0), "revisions rise")
        self._snapshots[command.revision] = set(frames_of(command.pcm)) & self.voiced

    def _see_record_transcript(self, command: do.RecordTranscript) -> None:
        self._shown_turns[f"transcript {command.turn}"] += 1
        self.check(self._shown_turns[f"transcript {command.turn}"] == 1, "one transcript a turn")
        for revision in re.findall(r"r(\d+)", command.text):
            frames = self._snapshots[int(revision)]
            self.check(bool(frames), "an utterance has a voice")
            self.check(not frames & self._understood, "an utterance makes one turn at most")
            self._understood |= frames

    def _see_user_caption(self, command: do.UserCaption) -> None:
        is_shown = self._shown_turns[command.segment]
        self.check(not is_shown, "one final caption a turn, and it is last")
        # A guess that came to nothing is taken back; other words may follow.
        self._shown_turns[command.segment] += command.final and bool(command.text)

    def _see_record_error(self, command: do.RecordError) -> None:
        if command.code == "COMMIT_TIMEOUT":
            self._given_up.add(command.turn)
        if found := re.match(r"sentence (\d+) was left out", command.message):
            self._left_out.add((command.turn, int(found[1])))

    # Epochs

    def _see_cancel(self, command: do.Cancel) -> None:
        self.check(command.epoch >= self._floor, "cancels rise")
        self._floor = command.epoch

    def _see_generate(self, command: do.Generate) -> None:
        is_known = command.turn in self.committed
        self.check(is_known or command.speculative, "a turn is committed before it is asked")
        self.check(command.epoch >= self._floor, "nothing is asked under a void epoch")
        self.check(command.epoch > self._asked, "epochs rise")
        self.check(self.outcomes[command.turn] == 0, "a turn that is over is not asked again")
        self._asked = command.epoch
        self._turn_of[command.epoch] = command.turn
        if command.speculative:
            self.check(not self._drafts, "one draft at a time")
            self._drafts.add(command.epoch)

    def _see_synthesize(self, command: do.Synthesize) -> None:
        self.check(command.epoch >= self._floor, "nothing is asked under a void epoch")
        self.check(command.epoch >= self._asked, "epochs rise")
        self.check(command.attempt <= 1, "a sentence is asked for again once")
        self._asked = command.epoch
        self._turn_of[command.epoch] = command.turn
        self._texts[command.epoch, command.sentence] = command.text

    def _see_repair_speech(self, command: do.RepairSpeech) -> None:
        self.check(command.epoch >= self._floor, "nothing is asked under a void epoch")

    def _see_record_resumed(self, command: do.RecordResumed) -> None:
        self._paused.discard(command.turn)
        self.check(self.outcomes[command.turn] == 0, "what is over does not go on")
        self.check(command.turn in self.committed, "what goes on is committed")

    def _see_count_speculation(self, command: do.CountSpeculation) -> None:
        self.check(command.epoch in self._drafts, "what was begun is counted once")
        self._drafts.remove(command.epoch)
        if command.outcome is not do.Speculation.USED:
            self._dropped.add(command.epoch & 0xFFFF)

    def _check_told(self, words: str) -> None:
        told = {int(counter) for counter in re.findall(r"e(\d+)s\d+w", words)}
        self.check(not told & self._dropped, "nothing of a draft that was dropped is told")

    def _see_record_presence(self, command: do.RecordPresence) -> None:
        self._gone_at = self._gone_at if command.joined else self._stage.now

    def _see_record_sentence(self, command: do.RecordSentence) -> None:
        self._check_told(command.text)
        self.check(command.turn in self.committed, "nothing is told of a turn that is not stored")
        place = (command.turn, command.sentence)
        self.check(place not in self._recorded, "a sentence is recorded once")
        self._recorded.add(place)
        self._texts[self._asked, command.sentence] = command.text

    # Sound

    def _see_play_audio(self, command: do.PlayAudio) -> None:
        self.check(command.request > self._void_request, "nothing of a void request is played")
        self.check(command.request >= max(self._requests, default=0), "requests rise")
        self.check(command.request not in self._ended, "nothing is played after the end")
        self.check(0 < len(command.pcm) <= 4800, "a piece is 100 ms at most")
        epoch = self._stage.brain.epoch
        is_apology = epoch not in self._turn_of
        is_told = self._turn_of.get(epoch) in self.committed | self._given_up
        self.check(is_apology or is_told, "only a committed turn is heard, or an apology for one")
        self.check(epoch >= self._floor, "nothing of a void epoch is heard")
        self.check(not self._paused, "what was stopped is settled or told to go on")
        self._epoch_of[command.request] = epoch
        self._requests.setdefault(command.request, bytearray()).extend(command.pcm)

    def _see_end_audio(self, command: do.EndAudio) -> None:
        self.check(command.request not in self._ended, "a request ends once")
        self.check(command.request in self._requests, "no phantom end")
        self.check(command.request > self._void_request, "nothing of a void request is ended")
        self._ended.add(command.request)

    def _see_stop_audio(self, command: do.StopAudio) -> None:
        self.check(command.request in self._requests, "only what plays is stopped")
        self._void_request = max(self._void_request, command.request)
        epoch = self._epoch_of[command.request]
        if (turn := self._turn_of.get(epoch)) is not None:
            self._paused.add(turn)
            is_apology = self._texts.get((epoch, 0)) == PERSONA.apology
            is_held = self.commits[turn].text.startswith("hold") if turn in self.commits else False
            self.check(not is_held or is_apology or self._is_called_off(), "speech stops no notice")

    def _is_called_off(self) -> bool:
        calls = (on.InterruptRequested, on.TextTyped, on.EndRequested)
        return isinstance(self._event, calls) or self._gone_at == self._stage.now

    def _runs(self, pcm: bytearray) -> list[tuple[int, int]]:
        """First value and length of every run of consecutive samples."""
        values = np.frombuffer(bytes(pcm), "<u2").astype(np.int64)
        breaks = np.flatnonzero((np.diff(values) & 0xFFFF) != 1) + 1
        bounds = [0, *breaks.tolist(), len(values)]
        return [(int(values[a]), b - a) for a, b in itertools.pairwise(bounds)]

    def handed(self) -> dict[Place, int]:
        """Samples handed over of every sentence; raises where one repeats, is torn or misplaced."""
        amounts: dict[Place, int] = {}
        bases = {first_value(key): place for place, (key, _) in self._keys.items()}
        before: Place | None = None
        epoch_before = 0
        for request, pcm in sorted(self._requests.items()):
            epoch = self._epoch_of[request]
            if epoch != epoch_before:
                before = None
            for index, (value, length) in enumerate(self._runs(pcm)):
                place, offset = bases.get(value), 0
                if index == 0 and before:
                    place, offset = self._continued(value, length, before[0], amounts) or (place, 0)
                elif before:
                    self.check(self._may_end(before, amounts[before]), "a sentence is not torn")
                if place is None:
                    raise AssertionError("a sentence is played from its beginning")
                self.check(place[0] in (epoch, self._apology_epoch), "sound is of its epoch")
                self.check(before is None or place >= before or index == 0, "sentences in order")
                amounts[place] = max(amounts.get(place, 0), offset + length)
                self.check(amounts[place] <= self._keys[place][1], "no sample is played twice")
                before = place
            epoch_before = epoch
        return amounts

    def _may_end(self, place: Place, amount: int) -> bool:
        left_out = (self._turn_of.get(place[0], -1), place[1]) in self._left_out
        return left_out or amount == self._keys[place][1]

    def _continued(
        self, value: int, length: int, epoch: int, amounts: dict[Place, int]
    ) -> tuple[Place, int] | None:
        """Where a request goes on with an answer whose avatar was lost.

        Values repeat, so several sentences may fit: best is one that is played to its end, then one
        that is played from its beginning.
        """
        found: list[tuple[bool, bool, Place, int]] = []
        for place, (key, samples) in self._keys.items():
            handed = amounts.get(place, 0)
            offset = (value - first_value(key)) & 0xFFFF
            is_near = offset <= handed <= offset + 2.11 * RATE_OUT_HZ
            if place[0] == epoch and is_near and offset + length <= samples:
                found.append((offset + length == samples, not offset, place, offset))
        return max(found)[2:] if found else None

    # What was heard

    def _see_agent_caption(self, command: do.AgentCaption) -> None:
        self._check_told(command.delta)
        self._captions[command.segment] += command.delta

    def _see_record_outcome(self, outcome: do.RecordOutcome) -> None:
        self._check_told(outcome.heard_text)
        self._paused.discard(outcome.turn)
        self.outcomes[outcome.turn] += 1
        self.check(self.outcomes[outcome.turn] == 1, "a turn is over once")
        waited_s = self._stage.now - self._committed_at.get(outcome.turn, self._stage.now)
        is_known = outcome.turn in self.committed or waited_s >= TIMING.commit_timeout_s
        self.check(is_known, "only committed turns have an outcome, and those given up")
        newest = max(self._requests, default=0)
        is_silenced = newest <= self._void_request or self._epoch_of[newest] != outcome.epoch
        self.check(is_silenced or not outcome.interrupted, "what is interrupted is silenced")
        handed = self.handed()
        groups: dict[Place, list[str]] = {}
        for word in outcome.heard_text.split():
            found = re.match(r"e(\d+)s(\d+)w(\d+)", word)
            if found:
                groups.setdefault((int(found[1]), int(found[2])), []).append(word)
        self.check(list(groups) == sorted(groups), "words are heard in order")
        for counter, index in groups:
            epoch = 2 << 32 | counter
            is_last = (counter, index) == max(groups)
            self._judge_words(outcome, (epoch, index), groups[counter, index], is_last, handed)
        if outcome.origin not in (Origin.SAY, Origin.GREETING):
            self._history.add("user", outcome.input_text)
        self._history.add("assistant", outcome.heard_text)

    def _judge_words(
        self,
        outcome: do.RecordOutcome,
        place: tuple[int, int],
        words: list[str],
        is_last: bool,
        handed: dict[Place, int],
    ) -> None:
        text = self._texts[place]
        heard = " ".join(words)
        self.check(text.startswith(heard), "words of a sentence are heard from its beginning")
        self.check(self._turn_of[place[0]] == outcome.turn, "words belong to their turn")
        amount, samples = handed.get(place, 0), self._keys.get(place, (0, 1))[1]
        share = (amount + 0.03 * RATE_OUT_HZ) / samples
        self.check(amount > 0, "no word is heard that was not handed over")
        self.check(len(heard) <= share * len(text) + 1e-6, "not more words than sound")
        left_out = (outcome.turn, place[1]) in self._left_out
        self.check(is_last or left_out or heard == text, "no words are missing in the middle")

    def _see_save_checkpoint(self, command: do.SaveCheckpoint) -> None:
        self.check(command.history == self._history.entries, "the history is what was heard")
        self.check(command.epoch >= self._asked, "a checkpoint knows the newest epoch")


def _short(command: do.Command) -> str:
    if isinstance(command, do.PlayAudio):
        return f"PlayAudio({command.request}, {len(command.pcm) // 2} samples)"
    if isinstance(command, do.Transcribe):
        return f"Transcribe({command.revision}, {len(command.pcm)} bytes)"
    return repr(command)[:160]
