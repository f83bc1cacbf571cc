"""Small helpers on mono s16le PCM, the only audio format on the bus."""

BYTES_PER_SAMPLE = 2


def byte_count(seconds: float, rate_hz: int) -> int:
    """Bytes of `seconds` of mono s16le samples, whole samples only."""
    return int(seconds * rate_hz) * BYTES_PER_SAMPLE
