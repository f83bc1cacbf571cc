"""Captions: whose words a stream is sent as, and what is known of a segment afterwards."""

from dataclasses import dataclass, field

import pytest

from visavis_egress.livekit_captions import Captions


@dataclass
class Stream:
    """One text stream as the room sees it."""

    attributes: dict[str, str]
    sender: str | None
    text: str = ""
    is_closed: bool = False
    error: Exception | None = None

    async def write(self, text: str) -> None:
        if self.error:
            raise self.error
        self.text += text

    async def aclose(self, *, attributes: dict[str, str] | None = None) -> None:
        self.attributes = self.attributes | (attributes or {})
        self.is_closed = True


@dataclass
class Us:
    """Our participant."""

    streams: list[Stream] = field(default_factory=list)

    async def stream_text(
        self, *, topic: str, attributes: dict[str, str], sender_identity: str | None = None
    ) -> Stream:
        assert topic == "lk.transcription"
        self.streams.append(Stream(attributes, sender_identity))
        return self.streams[-1]


async def test_a_segment_stays_with_the_person_who_began_it() -> None:
    us = Us()
    captions = Captions(lambda: us)
    await captions.user("s1", "What", "ann", final=False)
    await captions.user("s1", "", "bob", final=True)
    await captions.user("s1", "Who?", "bob", final=True)
    await captions.user("s2", "Me.", "bob", final=True)
    assert [stream.sender for stream in us.streams] == ["ann", "ann", "bob", "bob"]
    finals = [stream.attributes["lk.transcription_final"] for stream in us.streams]
    assert finals == ["false", "true", "true", "true"]
    assert all(stream.is_closed for stream in us.streams)


async def test_the_agents_words_are_one_stream_until_they_are_final() -> None:
    us = Us()
    captions = Captions(lambda: us)
    await captions.agent("a", "One. ", final=False)
    await captions.agent("a", "Two.", final=True)
    (stream,) = us.streams
    assert (stream.text, stream.sender, stream.is_closed) == ("One. Two.", None, True)
    assert stream.attributes == {"lk.segment_id": "a", "lk.transcription_final": "true"}


async def test_a_stream_that_broke_is_not_written_to_again() -> None:
    us = Us()
    captions = Captions(lambda: us)
    await captions.agent("a", "One. ", final=False)
    us.streams[0].error = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        await captions.agent("a", "Two. ", final=False)
    await captions.agent("a", "Three.", final=True)
    assert [stream.text for stream in us.streams] == ["One. ", "Three."]
