"""Who has the floor: stopped at a voice, given back after a sign of attention, lost to words."""

import pytest

from tests.unit.egress.conversation.driver import Stage, frames_of, stage_with
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on
from visavis_egress.conversation.commands import State
from visavis_egress.conversation.config import FRAME_S, TurnTaking
from visavis_runtime import subjects

WORDS = "one two three four five six"


def bytes_at(seconds: float) -> int:
    return round(seconds * 24_000) * 2


def paused(stage: Stage, at_s: float = 1.0, seconds: float = 4.0) -> bytes:
    """Half a second of a voice has stopped the avatar, at `at_s` by its report: the sound."""
    pcm = stage.speaking(WORDS, seconds=seconds)
    stage.wait(max(0.0, at_s - 1.0))
    stage.voice(0.5)
    assert len(stage.all(do.StopAudio)) == 1
    stage.feed(on.PlaybackFinished(at_s, interrupted=True))
    stage.silence(0.13)
    return pcm


def given_since(stage: Stage, count: int) -> tuple[set[int], bytes]:
    """Requests and sound of what was handed over after `count` pieces."""
    pieces = stage.all(do.PlayAudio)[count:]
    return {piece.request for piece in pieces}, b"".join(piece.pcm for piece in pieces)


def test_a_voice_stops_the_avatar_after_03_s_less_what_the_detector_was_late(stage: Stage) -> None:
    stage.speaking(WORDS)
    began_at = stage.now
    stage.voice(0.5)
    frames = 8  # 8 * 32 ms and 60 ms are the first that are 0.3 s
    assert stage.times(do.StopAudio) == [pytest.approx(began_at + frames * FRAME_S)]
    assert not stage.all(do.Cancel)[1:]  # it may go on: nothing is void
    assert stage.shows(State.LISTENING)


def test_what_arrives_while_it_is_paused_is_kept_for_going_on(stage: Stage) -> None:
    stage.ask()
    epoch = stage.generate("One.", complete=False)
    first = stage.synthesize(epoch, 0, 2.0, 1)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(0.5)
    stage.voice(0.5)
    stage.feed(on.PlaybackFinished(0.8, interrupted=True))
    stage.feed(on.SentencesReady(epoch, ("One.", "Two."), True))
    second = stage.synthesize(epoch, 1, 1.0, 2)
    count = len(stage.all(do.PlayAudio))
    stage.silence(0.13)
    assert len(stage.all(do.PlayAudio)) == count
    stage.understand("Mm-hm.")
    stage.silence(0.25)
    stage.feed(on.PlaybackStarted())
    stage.wait(4)
    assert given_since(stage, count) == ({2}, first[bytes_at(0.8) :] + second)
    assert stage.last(do.RecordOutcome).heard_text == "One. Two."


@pytest.mark.parametrize(("thinking_s", "speaking_s"), [(0.2, 0.6), (0.6, 0.2)])
def test_thinking_and_speaking_have_bars_of_their_own(thinking_s: float, speaking_s: float) -> None:
    thinking = stage_with(interrupt_thinking_after_s=thinking_s, interrupt_after_s=speaking_s)
    thinking.ask()
    thinking.voice(0.3)
    assert (thinking.brain.epoch == 0) is (thinking_s < 0.4)
    speaking = stage_with(interrupt_thinking_after_s=thinking_s, interrupt_after_s=speaking_s)
    speaking.speaking(WORDS)
    speaking.voice(0.3)
    assert bool(speaking.all(do.StopAudio)) == (speaking_s < 0.4)


def test_a_number_of_words_can_be_needed_as_well() -> None:
    stage = stage_with(interrupt_words=2)
    stage.speaking(WORDS, seconds=6.0)
    stage.voice(0.6)
    partial = stage.last(do.Transcribe)
    assert partial.partial
    stage.feed(on.PartlyTranscribed(partial.revision, "Wait"))
    stage.voice(0.6)
    assert not stage.all(do.StopAudio)
    stage.feed(on.PartlyTranscribed(stage.last(do.Transcribe).revision, "Wait a"))
    assert stage.all(do.StopAudio)


def test_while_thinking_another_number_of_words_is_needed() -> None:
    stage = stage_with(interrupt_words=0, interrupt_thinking_words=2)
    stage.ask()
    stage.voice(0.6)
    stage.feed(on.PartlyTranscribed(stage.last(do.Transcribe).revision, "Wait"))
    assert stage.brain.epoch
    stage.voice(0.5)
    stage.feed(on.PartlyTranscribed(stage.last(do.Transcribe).revision, "Wait please"))
    assert not stage.brain.epoch


@pytest.mark.parametrize("text", ["Mm-hm.", "Okay, sure.", "Ha ha ha.", ""])
def test_a_sign_of_attention_gives_the_floor_back_for_exactly_the_rest(
    stage: Stage, text: str
) -> None:
    pcm = paused(stage, 0.9)
    count = len(stage.all(do.PlayAudio))
    verdict_at = stage.now
    stage.understand(text)
    stage.silence(0.5)
    assert stage.all(do.RecordResumed) == [do.RecordResumed(1)]
    assert stage.times(do.RecordResumed)[0] - verdict_at < 0.5
    assert stage.times(do.PlayAudio)[count] == stage.times(do.RecordResumed)[0]
    stage.feed(on.PlaybackStarted())
    assert stage.shows(State.SPEAKING)
    stage.wait(5)
    assert given_since(stage, count) == ({2}, pcm[bytes_at(0.9) :])
    assert stage.all(do.EndAudio) == [do.EndAudio(2)]
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.heard_text, outcome.interrupted) == (WORDS, False)
    assert len(stage.all(do.Commit)) == len(stage.all(do.RecordOutcome)) == 1
    assert not stage.all(do.Cancel)[1:]
    assert stage.is_quiet()


def test_a_sign_of_attention_is_not_in_the_words_that_follow_it(stage: Stage) -> None:
    paused(stage)
    sign_ended = stage.frames - 4
    stage.understand("Mm-hm.")
    stage.silence(0.2)
    assert stage.all(do.RecordResumed)
    stage.voice(0.3)
    stage.silence(0.13)
    assert frames_of(stage.snapshots[-1].pcm)[0] == sign_ended + 1


def test_the_floor_is_given_back_in_the_silence_that_ends_a_turn(stage: Stage) -> None:
    paused(stage)
    stage.understand("Mm-hm.")
    assert not stage.all(do.RecordResumed)  # there may be more to come
    stage.silence(0.2)
    assert stage.all(do.RecordResumed)


def test_without_the_avatars_report_the_rest_is_our_clocks(stage: Stage) -> None:
    pcm = stage.speaking(WORDS)  # 0.5 s heard
    began_at = stage.now
    stage.voice(0.3)
    heard_s = 0.5 + stage.times(do.StopAudio)[0] - began_at
    count = len(stage.all(do.PlayAudio))
    stage.silence(0.13)
    stage.understand("Yeah.")
    stage.silence(0.5)
    assert (
        given_since(stage, count)[1]
        == pcm[bytes_at(heard_s) :][: bytes_at(2.1)][: len(given_since(stage, count)[1])]
    )
    assert stage.all(do.RecordResumed)
    stage.feed(on.PlaybackFinished(0.1, interrupted=True))  # late: of what is played no more
    stage.wait(6)
    assert given_since(stage, count)[1] == pcm[bytes_at(heard_s) :]
    assert not stage.last(do.RecordOutcome).interrupted


def test_a_verdict_that_comes_before_the_report_waits_for_it() -> None:
    stage = stage_with(min_delay_s=0.2)
    pcm = stage.speaking(WORDS)
    stage.voice(0.256)
    count = len(stage.all(do.PlayAudio))
    stage.silence(0.13)
    stage.understand("")
    stage.silence(0.1)
    assert not stage.all(do.RecordResumed)
    stage.feed(on.PlaybackFinished(0.7, interrupted=True))
    assert stage.all(do.RecordResumed)
    stage.wait(6)
    assert given_since(stage, count)[1] == pcm[bytes_at(0.7) :]


def test_a_call_stops_what_is_about_to_go_on() -> None:
    stage = stage_with(min_delay_s=0.2)
    stage.speaking(WORDS)
    stage.voice(0.256)
    stage.silence(0.13)
    stage.understand("")
    stage.silence(0.1)
    stage.feed(on.InterruptRequested())
    stage.feed(on.PlaybackFinished(1.4, interrupted=True))
    assert not stage.all(do.RecordResumed)
    assert [one.interrupted for one in stage.all(do.RecordOutcome)] == [True]


def test_an_answer_that_was_paused_before_its_sound_goes_on_with_it(stage: Stage) -> None:
    stage.ask()
    stage.voice(0.4)
    assert not stage.brain.epoch
    assert not stage.all(do.StopAudio)
    pcm = stage.answer(WORDS)
    stage.silence(0.13)
    stage.understand("Um.")
    stage.silence(0.3)
    assert stage.all(do.RecordResumed)
    stage.wait(4)
    assert stage.played == pcm


def test_an_answer_that_failed_while_it_was_paused_is_apologised_for(stage: Stage) -> None:
    apology = stage.prepare_apology()
    stage.ask()
    epoch = stage.last(do.Generate).epoch
    stage.voice(0.4)
    stage.feed(on.GenerateFailed(epoch, "ENGINE_FAILED"))
    stage.feed(on.SentencesReady(epoch, ("One.",), True))  # overtaken by the failure
    stage.synthesize(epoch, 0)
    stage.silence(0.13)
    stage.understand("Um.")
    stage.silence(0.3)
    stage.wait(4)
    assert stage.played == apology
    assert not stage.all(do.RecordSentence)
    assert stage.last(do.RecordOutcome).heard_text == "Sorry about that."


def test_the_floor_can_be_taken_and_given_back_again_and_again(stage: Stage) -> None:
    pcm = stage.speaking(WORDS, seconds=6.0)
    heard_s = 0.5
    for _ in range(3):
        count = len(stage.all(do.PlayAudio))
        stage.voice(0.4)
        heard_s += 0.3
        stage.feed(on.PlaybackFinished(heard_s if count < 40 else 0.3, interrupted=True))
        stage.silence(0.13)
        stage.understand("Mm-hm.")
        stage.silence(0.3)
        stage.feed(on.PlaybackStarted())
        stage.wait(0.5)
    assert len(stage.all(do.RecordResumed)) == 3
    stage.wait(8)
    last = max(piece.request for piece in stage.all(do.PlayAudio))
    rest = b"".join(piece.pcm for piece in stage.all(do.PlayAudio) if piece.request == last)
    assert pcm.endswith(rest)
    assert last == 4
    assert stage.last(do.RecordOutcome).heard_text == WORDS


def test_real_words_take_the_floor_and_are_answered(stage: Stage) -> None:
    paused(stage, 1.4)
    out = stage.understand("Wait, why?")
    assert out[-1] is not None
    assert stage.last(do.Cancel) == do.Cancel(subjects.epoch(1, 2))
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.interrupted, outcome.heard_text) == (True, "one two")
    assert not stage.all(do.RecordResumed)
    stage.recognise("Wait, why?")
    stage.silence(0.3)
    assert stage.last(do.Commit).text == "Wait, why?"
    stage.feed(on.TurnCommitted(2))
    assert stage.last(do.Generate).messages[-2:] == (
        ("assistant", "one two"),
        ("user", "Wait, why?"),
    )


def test_two_seconds_of_speech_are_a_turn_whatever_its_words(stage: Stage) -> None:
    stage.speaking(WORDS)
    began_at = stage.now
    stage.voice(2.1)
    assert stage.last(do.RecordOutcome).interrupted
    assert stage.times(do.RecordOutcome)[0] - began_at == pytest.approx(2.0 - 0.06, abs=0.04)
    stage.silence(0.13)
    stage.understand("Yeah.")
    stage.silence(3)
    assert stage.last(do.Commit).text == "Yeah."


def test_an_okay_with_less_than_a_second_to_go_is_the_reply(stage: Stage) -> None:
    paused(stage, at_s=3.1, seconds=4.0)
    stage.understand("Okay.")
    assert stage.last(do.RecordOutcome).interrupted
    stage.silence(1)
    assert stage.last(do.Commit).text == "Okay."


def test_a_noise_with_less_than_a_second_to_go_is_no_reply(stage: Stage) -> None:
    paused(stage, at_s=3.1, seconds=4.0)
    stage.understand("")
    stage.silence(0.3)
    assert stage.all(do.RecordResumed)


def test_an_okay_while_the_answer_is_still_being_made_is_no_reply(stage: Stage) -> None:
    stage.ask()
    epoch = stage.generate(WORDS, complete=False)
    stage.synthesize(epoch, 0, 1.0)
    stage.wait(0.1)
    stage.feed(on.PlaybackStarted())
    stage.wait(0.5)
    stage.voice(0.4)
    stage.feed(on.PlaybackFinished(0.9, interrupted=True))
    stage.silence(0.13)
    stage.understand("Okay.")
    stage.silence(0.3)
    assert stage.all(do.RecordResumed)


def test_words_that_could_not_be_recognised_take_the_floor_and_are_asked_for_again(
    stage: Stage,
) -> None:
    apology = stage.prepare_apology()
    paused(stage)
    stage.feed(on.TranscribeFailed(stage.snapshots[-1].revision, "ENGINE_FAILED"))
    stage.silence(3)
    assert stage.last(do.RecordOutcome).interrupted
    count = len(stage.all(do.PlayAudio))
    stage.feed(on.TurnCommitted(2))
    stage.wait(3)
    assert given_since(stage, count)[1] == apology


def test_calls_stop_what_is_paused(stage: Stage) -> None:
    paused(stage, 1.4)
    stage.feed(on.InterruptRequested())
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.interrupted, outcome.heard_text) == (True, "one two")
    stage.understand("Mm-hm.")
    stage.silence(1)
    assert not stage.all(do.RecordResumed)
    assert len(stage.all(do.RecordOutcome)) == 1


def test_a_second_stop_while_the_report_is_waited_for_adds_nothing(stage: Stage) -> None:
    stage.speaking(WORDS)
    stage.feed(on.TextTyped("Stop."))
    stage.feed(on.InterruptRequested())
    assert len(stage.all(do.StopAudio)) == 1
    assert len(stage.all(do.Cancel)) == 2
    stage.feed(on.PlaybackFinished(1.4, interrupted=True))
    assert len(stage.all(do.RecordOutcome)) == 1


def test_a_typed_text_takes_the_floor_of_what_is_paused(stage: Stage) -> None:
    paused(stage, 1.4)
    stage.type("Something else.")
    assert stage.last(do.RecordOutcome).interrupted
    assert stage.last(do.Generate).messages[-1] == ("user", "Something else.")


def test_the_end_settles_what_is_paused(stage: Stage) -> None:
    paused(stage, 1.4)
    stage.feed(on.EndRequested(1))
    outcome = stage.last(do.RecordOutcome)
    assert (outcome.interrupted, outcome.heard_text) == (True, "one two")
    assert len(stage.all(do.StopAudio)) == 1


def test_the_hard_stop_gives_the_floor_back_however_long_a_turn_waits(stage: Stage) -> None:
    paused(stage)
    stage.feed(on.TurnTakingChanged(TurnTaking(min_delay_s=9.0, mid_delay_s=9.0, max_delay_s=9.0)))
    stage.understand("Mm-hm.")
    stage.silence(4.7)
    assert not stage.all(do.RecordResumed)
    stage.silence(0.3)
    assert stage.all(do.RecordResumed)
    assert len(stage.all(do.Commit)) == 1


def test_nothing_else_is_said_while_it_is_paused(stage: Stage) -> None:
    paused(stage)
    stage.feed(on.SayRequested("r1", "Listen."))
    stage.feed(on.TurnCommitted(2))
    stage.silence(0.1)
    assert len(stage.all(do.Generate)) == 1
    stage.understand("Mm-hm.")
    stage.silence(6)
    assert stage.last(do.Generate).verbatim == "Listen."
    assert not stage.all(do.RecordOutcome)[0].interrupted


def test_an_avatar_lost_while_it_is_paused_goes_on_when_it_is_back(stage: Stage) -> None:
    pcm = stage.speaking(WORDS)
    stage.voice(0.5)
    stage.feed(on.AvatarLost())
    stage.silence(0.13)
    count = len(stage.all(do.PlayAudio))
    stage.understand("Mm-hm.")
    stage.silence(1)
    assert stage.all(do.RecordResumed)
    assert len(stage.all(do.PlayAudio)) == count
    stage.feed(on.AvatarReady())
    stage.wait(6)
    requests, rest = given_since(stage, count)
    assert len(requests) == 1
    assert pcm.endswith(rest)
    assert len(rest) == pytest.approx(len(pcm) - bytes_at(0.5 + 0.26), abs=bytes_at(0.05))
    assert stage.last(do.RecordOutcome).heard_text == WORDS
