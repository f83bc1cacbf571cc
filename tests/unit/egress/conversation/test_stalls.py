"""Missing packets are not silence, and they are not waited for without end either."""

from tests.unit.egress.conversation.driver import TIMING, Stage, frames_of
from visavis_egress.conversation import commands as do
from visavis_egress.conversation import events as on


def lose_packets(stage: Stage, seconds: float) -> None:
    """Nothing arrives for so long, which is noticed after half a second."""
    stage.wait(TIMING.stall_s)
    stage.feed(on.MicrophoneStalled())
    # What the receiver makes up meanwhile is silence.
    stage.silence(seconds - TIMING.stall_s)
    stage.feed(on.MicrophoneFlows())


def test_a_gap_of_3_s_in_mid_sentence_does_not_end_the_turn(stage: Stage) -> None:
    stage.voice(1)
    lose_packets(stage, 3.0)
    stage.understand("I would")
    stage.feed(on.SoundScored(stage.snapshots[-1].revision, 0.9))
    stage.feed(on.TextScored(stage.snapshots[-1].revision, 0.2))
    assert not stage.all(do.Commit)
    stage.voice(1)
    stage.silence(0.4)
    stage.recognise("I would like a table.")
    assert [commit.text for commit in stage.all(do.Commit)] == ["I would like a table."]


def test_the_sound_has_nothing_in_it_that_was_made_up(stage: Stage) -> None:
    stage.voice(1)
    before = stage.frames
    lose_packets(stage, 3.0)
    after = stage.frames
    stage.voice(1)
    stage.silence(0.13)
    frames = frames_of(stage.snapshots[-1].pcm)
    assert before in frames
    assert not [number for number in frames if before < number <= after]


def test_the_next_utterance_has_nothing_of_the_last_one_in_it(stage: Stage) -> None:
    stage.voice(1)
    last = stage.frames
    stage.silence(0.1)
    stage.wait(0.4)  # nothing arrives
    stage.recognise("What is it?")
    assert stage.all(do.Commit)
    stage.voice(0.3)
    stage.silence(0.2)
    assert frames_of(stage.snapshots[-1].pcm)[0] == last + 1


def test_silence_goes_on_where_it_was(stage: Stage) -> None:
    stage.voice(1)
    stage.silence(0.13)
    stage.recognise("What is it?", words=1.0, sound=0.0)  # 0.8 s
    lose_packets(stage, 3.0)
    assert not stage.all(do.Commit)
    stage.silence(0.55)
    assert not stage.all(do.Commit)
    stage.silence(0.2)
    assert stage.all(do.Commit)


def test_what_is_known_to_be_over_is_over_though_packets_are_missing(stage: Stage) -> None:
    stage.voice(1)
    stage.wait(0.13)
    stage.recognise("What is it?")
    stage.wait(0.3)
    assert stage.all(do.Commit)


def test_packets_that_do_not_come_back_are_the_end_of_the_turn(stage: Stage) -> None:
    stage.voice(1)
    stage.wait(0.2)
    stage.feed(on.MicrophoneStalled())
    stage.recognise("I would", words=0.0, sound=0.0)
    stage.wait(TIMING.hard_stop_s - 0.1)
    assert not stage.all(do.Commit)
    stage.wait(0.2)
    assert stage.last(do.Commit).text == "I would"
    stage.feed(on.MicrophoneFlows())
    assert len(stage.all(do.Commit)) == 1


def test_a_paused_answer_goes_on_when_the_microphone_is_lost(stage: Stage) -> None:
    stage.speaking(seconds=6.0)
    stage.voice(0.5)
    stage.feed(on.MicrophoneStalled())
    stage.wait(TIMING.hard_stop_s + 0.2)
    stage.understand("")
    stage.wait(0.5)
    assert stage.all(do.RecordResumed)


def test_a_stall_without_an_utterance_ends_nothing(stage: Stage) -> None:
    stage.feed(on.MicrophoneStalled())
    stage.wait(10)
    stage.feed(on.MicrophoneFlows())
    stage.say("What is it?")
    assert stage.last(do.Commit).text == "What is it?"
