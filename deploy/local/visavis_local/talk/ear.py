"""What the caller's recording says about one answer."""

from dataclasses import dataclass

from tests.support.recording import Recording

_BEFORE_ONSET_S = 0.25


@dataclass(frozen=True, slots=True)
class Sound:
    """The audible part of an answer (monotonic seconds), None where nothing was heard."""

    first: float | None
    last: float
    level_dbfs: float


def sound(recording: Recording, after: float, until: float) -> Sound:
    """What was audible between two moments."""
    first = recording.first_audible_after(after)
    last = recording.last_audible_before(until)
    if first is None or last is None or first >= until:
        return Sound(None, until, recording.level(after, until))
    return Sound(first, last, recording.level(first, last))


def level_before(recording: Recording, onset: float) -> float:
    """Level in dBFS of the quarter of a second before `onset`."""
    return recording.level(onset - _BEFORE_ONSET_S, onset)


def silent_after(recording: Recording, onset: float, until: float) -> float:
    """Seconds from `onset` to the last audible moment before `until`; 0 if it was silent."""
    last = recording.last_audible_before(until)
    return max(0.0, last - onset) if last is not None else 0.0
