"""Small helpers on mono s16le PCM, the only audio format on the bus."""

BYTES_PER_SAMPLE = 2


def duration_s(pcm: bytes, rate_hz: int) -> float:
    """Length in seconds of mono s16le samples."""
    return len(pcm) / BYTES_PER_SAMPLE / rate_hz


def byte_count(seconds: float, rate_hz: int) -> int:
    """Bytes of `seconds` of mono s16le samples, whole samples only."""
    return int(seconds * rate_hz) * BYTES_PER_SAMPLE


def chunks(pcm: bytes, seconds: float, rate_hz: int) -> list[bytes]:
    """Cut samples into pieces of `seconds`; the last one may be shorter."""
    size = byte_count(seconds, rate_hz)
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]
