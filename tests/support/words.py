"""How well a text was understood."""

import jiwer


def word_error_rate(said: str, heard: str) -> float:
    """Word error rate without regard to case and punctuation; 0.0 is perfect."""
    return float(jiwer.wer(_bare(said), _bare(heard)))


def _bare(text: str) -> str:
    kept = "".join(c for c in text.lower() if c.isalnum() or c.isspace() or c == "'")
    return " ".join(kept.split())
