"""Holds the conversation: speaks the script's turns, waits for the answers, measures them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.caller import Caller
from tests.support.listener import understood
from tests.support.session_api import SessionApi
from tests.support.utterance import Spoken
from tests.support.words import word_error_rate
from visavis.session.v1 import session_pb2 as api
from visavis_local.talk import ear, script, show
from visavis_local.talk.report import STEPS, Answer, Interruption, Report
from visavis_local.talk.watch import Turned, Watch

BEGIN_TIMEOUT_S = 20.0
END_TIMEOUT_S = 70.0
APOLOGY_S = 10.0
"""How long an answer may still come after an error event."""
BREATH_S = 0.6
_TAIL_S = 0.3
_POLL_S = 0.02

OVER = (api.TurnEvent.STEP_COMPLETED, api.TurnEvent.STEP_INTERRUPTED)


class Stopped(Exception):
    """The conversation cannot go on; the text says why."""


class Stage:
    """One session with one person in its room. `report` grows as the turns go by."""

    def __init__(
        self,
        client: SessionApi,
        session_id: str,
        *,
        caller: Caller,
        watch: Watch,
        wavs: Mapping[str, Path],
    ) -> None:
        self.report = Report()
        self._client, self._id, self._caller = client, session_id, caller
        self._watch, self._wavs = watch, wavs
        self._spans: list[tuple[float, float]] = []

    async def perform(self) -> None:
        """Greeting and four turns. Raises Stopped."""
        greeted = self._over(api.TurnEvent.ORIGIN_GREETING, -1)
        await self._until(lambda: greeted() is not None, "the greeting", BEGIN_TIMEOUT_S)
        await self._ask("question", script.QUESTION)
        await self._ask("follow-up", script.FOLLOW_UP)
        await self._interrupt()
        await self._ask("goodbye", script.GOODBYE)

    async def understand(self) -> None:
        """Have everything that was heard recognised again."""
        answers = self.report.answers
        for index, (answer, span) in enumerate(zip(answers, self._spans, strict=True)):
            heard = await understood(self._caller.recording, span[0], span[1] + _TAIL_S)
            rate = word_error_rate(answer.heard, heard) if answer.heard.strip() else None
            answers[index] = answer.understood_as(heard, rate)

    async def _ask(self, name: str, words: str) -> None:
        after = self._watch.newest_turn
        spoken = await self._speak(words)
        await self._answer(name, api.TurnEvent.ORIGIN_SPEECH, after, since=spoken.end)

    async def _interrupt(self) -> None:
        """A Say, long enough to be interrupted whatever the model's answers are like."""
        print("\n" + show.words("(Say)", script.LONG_ANSWER), flush=True)
        print(show.words("", "[a Say of the program's: the model's own answers are too brief]"))
        after, asked = self._watch.newest_turn, time.monotonic()
        said = await self._client.say(self._id, script.LONG_ANSWER)
        recording = self._caller.recording
        await self._until(
            lambda: recording.first_audible_after(asked) is not None, "the Say", BEGIN_TIMEOUT_S
        )
        await asyncio.sleep(script.INTERRUPT_AFTER_S)
        spoken = await self._speak(script.INTERRUPTION)
        over = self._over(api.TurnEvent.ORIGIN_SAY, after)
        await self._until(lambda: over() is not None, "the end of the Say", BEGIN_TIMEOUT_S)
        cut = self._record("long answer", over(), since=asked, until=spoken.end)
        print(show.waterfall(cut), flush=True)
        self.report.interruption = Interruption(
            level_before_dbfs=ear.level_before(recording, spoken.start),
            left_s=(len(cut.said) - len(cut.heard)) * self._pace(),
            silent_after_s=ear.silent_after(recording, spoken.start, spoken.end),
        )
        print(show.interruption(self.report.interruption), flush=True)
        await self._answer("after stop", api.TurnEvent.ORIGIN_SPEECH, said, since=spoken.end)

    async def _speak(self, words: str) -> Spoken:
        await asyncio.sleep(BREATH_S if self._caller.observed.agent_state != "speaking" else 0)
        print("\n" + show.words("Person", words), flush=True)
        return await self._caller.speak(self._wavs[words])

    async def _answer(
        self, name: str, origin: "api.TurnEvent.Origin.ValueType", after: int, *, since: float
    ) -> None:
        """Wait for the answer, then note and show it."""
        over = self._over(origin, after, api.TurnEvent.STEP_COMPLETED)
        begun_before = len(self._watch.errors)

        def has_failed() -> bool:
            return len(self._watch.errors) > begun_before

        def is_begun() -> bool:
            return over() is not None or has_failed() or self._watch.is_playing_after(after)

        await self._until(is_begun, f"an answer ({name})", BEGIN_TIMEOUT_S)
        await self._until(
            lambda: over() is not None or has_failed(), f"its end ({name})", END_TIMEOUT_S
        )
        if has_failed():
            await self._until(lambda: over() is not None, f"an answer ({name})", APOLOGY_S)
            raise Stopped(f"stopped after an error in the answer ({name})")
        answer = self._record(name, over(), since=since)
        print(show.waterfall(answer), flush=True)

    def _record(
        self, name: str, over: Turned | None, *, since: float, until: float | None = None
    ) -> Answer:
        """Note how a turn went. `until`: nothing after it belongs to the answer."""
        assert over
        at, turn = over
        heard = ear.sound(self._caller.recording, since, until or at + _TAIL_S)
        first = heard.first
        answer = Answer(
            name=name,
            is_generated=turn.origin == api.TurnEvent.ORIGIN_SPEECH,
            said=" ".join(self._watch.sentences(turn.turn)),
            heard=turn.heard_text,
            is_interrupted=turn.step == api.TurnEvent.STEP_INTERRUPTED,
            waterfall=_seconds(turn.waterfall),
            first_sound_s=None if first is None else first - since,
            level_dbfs=heard.level_dbfs,
            sound_s=0.0 if first is None else heard.last - first,
        )
        self.report.answers.append(answer)
        self._spans.append((first if first is not None else since, heard.last))
        return answer

    def _over(
        self,
        origin: "api.TurnEvent.Origin.ValueType",
        after: int,
        *steps: "api.TurnEvent.Step.ValueType",
    ) -> Callable[[], Turned | None]:
        """Looks for the end of a turn of this origin with a higher number."""

        def find() -> Turned | None:
            ends = self._watch.turns(*(steps or OVER))
            found = (end for end in ends if end[1].origin == origin and end[1].turn > after)
            return next(found, None)

        return find

    def _pace(self) -> float:
        """Seconds a character, by the answers that were heard to their end."""
        whole = [answer for answer in self.report.answers if not answer.is_interrupted]
        characters = sum(len(answer.heard) for answer in whole)
        return sum(answer.sound_s for answer in whole) / characters if characters else 0.0

    async def _until(self, condition: Callable[[], bool], what: str, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if self._watch.broken:
                raise Stopped(self._watch.broken)
            if reason := self._caller.observed.disconnect_reason:
                raise Stopped(f"the room was lost: {reason}")
            if time.monotonic() > deadline:
                raise Stopped(f"{what} did not come within {within_s:.0f} s")
            await asyncio.sleep(_POLL_S)


def _seconds(waterfall: api.Waterfall) -> dict[str, float]:
    return {
        name: getattr(waterfall, name).ToTimedelta().total_seconds()
        for name, _ in STEPS
        if waterfall.HasField(name)  # type: ignore[arg-type]  # every name is a field
    }
