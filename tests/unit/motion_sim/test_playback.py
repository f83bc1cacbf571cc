"""Requests in order, 20 ms frames, interrupts, phantoms and underruns."""

from visavis_motion_sim.playback import End, Fed, Frame, PlaybackQueue, Stop

RATE_HZ = 24000
FRAME = b"\1\0" * 480


def drain(queue: PlaybackQueue) -> list[Frame]:
    """All frames up to the next thing that is none."""
    frames = []
    while isinstance(step := queue.next(), Frame):
        frames.append(step)
    return frames


def test_requests_are_played_in_the_order_they_arrived() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME, end=False)
    queue.feed("b", FRAME * 2, end=True)
    queue.feed("a", FRAME, end=True)
    assert [(f.req_id, f.position_ms) for f in drain(queue)] == [("a", 0), ("a", 20)]
    assert queue.next() == End("a", 40)
    queue.complete()
    assert [f.req_id for f in drain(queue)] == ["b", "b"]


def test_the_last_frame_is_filled_with_silence_only_after_the_end() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME + FRAME[:100], end=False)
    assert len(drain(queue)) == 1
    queue.feed("a", b"", end=True)
    (last,) = drain(queue)
    assert last.pcm == FRAME[:100].ljust(960, b"\0")


def test_a_dry_request_is_one_underrun_however_often_it_is_asked() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME, end=False)
    drain(queue)
    assert queue.next() is None
    assert queue.underruns == 1
    queue.feed("a", FRAME, end=False)
    drain(queue)
    assert queue.underruns == 2


def test_a_request_that_has_not_begun_is_no_underrun() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME[:10], end=False)
    assert queue.next() is None
    assert queue.underruns == 0


def test_an_interrupt_stops_the_request_and_all_before_it() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME * 3, end=True)
    queue.feed("b", FRAME, end=True)
    queue.feed("c", FRAME, end=True)
    queue.next()
    assert queue.interrupt("b")
    assert queue.next() == Stop("a", 20)
    assert queue.next() == Stop("b", 0)
    assert [f.req_id for f in drain(queue)] == ["c"]


def test_an_interrupt_still_counts_while_the_end_is_being_heard() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME, end=True)
    drain(queue)
    assert queue.interrupt("a")
    assert queue.next() == Stop("a", 20)
    assert queue.next() is None
    assert not queue.busy


def test_an_interrupt_of_a_finished_or_unknown_request_does_nothing() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME, end=True)
    drain(queue)
    queue.complete()
    assert not queue.interrupt("a")
    assert not queue.interrupt("never seen")
    assert queue.next() is None


def test_an_empty_request_is_a_phantom_and_is_never_played() -> None:
    queue = PlaybackQueue(RATE_HZ)
    assert queue.feed("a", b"", end=True) is Fed.PHANTOM
    assert queue.feed("b", b"", end=False) is Fed.ACCEPTED
    assert queue.feed("b", b"", end=True) is Fed.ACCEPTED
    assert queue.next() is None
    assert queue.phantoms == 2
    assert not queue.busy


def test_audio_after_the_end_or_an_interrupt_is_late() -> None:
    queue = PlaybackQueue(RATE_HZ)
    queue.feed("a", FRAME, end=True)
    assert queue.feed("a", FRAME, end=False) is Fed.LATE
    queue.interrupt("a")
    assert queue.feed("a", FRAME, end=True) is Fed.LATE


def test_starting_names_the_request_only_before_its_first_frame() -> None:
    queue = PlaybackQueue(RATE_HZ)
    assert queue.starting() is None
    queue.feed("a", FRAME * 2, end=False)
    assert queue.starting() == "a"
    queue.next()
    assert queue.starting() is None
    queue.interrupt("a")
    queue.feed("b", FRAME, end=False)
    assert queue.starting() is None  # the stop comes first


def test_frames_of_22050_hz_hold_whole_samples() -> None:
    queue = PlaybackQueue(22050)
    queue.feed("a", bytes(882), end=False)
    (frame,) = drain(queue)
    assert len(frame.pcm) == 882
