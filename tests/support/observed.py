"""What a room told to somebody in it, with monotonic times."""

import time
from dataclasses import dataclass, field


@dataclass
class Segment:
    """One transcription segment; `sender` is whose words they are."""

    sender: str
    segment_id: str
    first: float
    last: float
    text: str = ""
    final: bool = False
    drafts: list[str] = field(default_factory=list)
    """Texts that were not final yet, in order."""


@dataclass
class Observed:
    """What the room told, with monotonic times."""

    agent_states: list[tuple[float, str]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    joined: list[tuple[float, str]] = field(default_factory=list)
    left: list[tuple[float, str]] = field(default_factory=list)
    data: list[tuple[float, str, bytes]] = field(default_factory=list)
    disconnect_reason: str | None = None

    @property
    def agent_state(self) -> str:
        """The newest state; empty before the first."""
        return self.agent_states[-1][1] if self.agent_states else ""

    def listens_since(self, when: float) -> bool:
        """The agent listens, and said so after that."""
        return self.agent_state == "listening" and self.agent_states[-1][0] > when

    def said_by(self, sender: str) -> str:
        """All final words of one participant, in the order they began."""
        final = [one for one in self.segments if one.sender == sender and one.final]
        return " ".join(one.text.strip() for one in sorted(final, key=lambda one: one.first))

    def segment(self, sender: str, segment_id: str) -> Segment:
        """The segment of this id, a new one if it is the first time."""
        for segment in self.segments:
            if (segment.sender, segment.segment_id) == (sender, segment_id):
                return segment
        now = time.monotonic()
        self.segments.append(Segment(sender, segment_id, now, now))
        return self.segments[-1]
