"""When is the person done? How long to wait, given what is known of the end of the utterance."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Silence:
    """The end of a turn by silence alone."""

    endpoint_silence_s: float

    def wait_s(self) -> float:
        """Silence after which the turn is over, by everything that is known now."""
        return self.endpoint_silence_s
