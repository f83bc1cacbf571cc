"""Takes out of a sentence what is for the eye only: markdown, emoji, a model's own marks."""

import re

_RULES = [
    (re.compile(pattern), by)
    for pattern, by in (
        (r"<\|[^|>\s]*\|>", ""),  # <|im_end|> and its like
        (r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1"),  # a link keeps its words
        (r"`+(?:\w+\n)?", ""),
        (r"^\s*(?:#{1,6}|[-*•+>])\s+", ""),
        (r"(?:\*|~~)+(?=\S)|(?<=\S)(?:\*|~~)+", ""),
        (r"(?<!\w)_+|_+(?!\w)", ""),
        ("[\U0001f000-\U0001faff\u2600-\u27bf\u200d\u20e3\ufe0f\U000e0020-\U000e007f]", ""),
        (r"\s+", " "),
        (r" (?=[.,!?;:](?:\s|$))", ""),  # left behind by what was taken out
    )
]


def speakable(text: str) -> str:
    """`text` as it would be read aloud; empty if there is no letter and no digit in it."""
    for pattern, by in _RULES:
        text = pattern.sub(by, text)
    text = text.strip()
    return text if any(character.isalnum() for character in text) else ""
