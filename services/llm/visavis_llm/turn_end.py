"""The probability that a turn ends here, by the model's own next token; pure.

The words are given as a line of a transcript, without a chat template: that works with any model
and any server, and told finished from cut sentences as well as SmolLM2's own template (measured:
of 23 finished and 35 cut ones 98 % were told apart, 96 % with the template).
"""

import math
from typing import Any

MAX_CHARACTERS = 400
"""What is given of either speaker, from the end."""
TOP_TOKENS = 20
"""The most that vLLM gives unless told otherwise; 100 gave the same figures."""
_MARKS = ".?!…。？！"
_UNSAID = _MARKS + ",;:-–— \n"
_SPECIAL = ("<|", "</s>")
_OPENING = "Hello."


class NotAScoreError(Exception):
    """The answer holds no probabilities of tokens."""


def prompt(text: str, before: str) -> str:
    """What the model is to continue.

    Lower case and no mark at the end: a recogniser puts a full stop behind half sentences too.
    """
    said = _line(before) or _OPENING
    return f"A phone conversation.\n\nAgent: {said}\nCaller: {_line(text).rstrip(_UNSAID).lower()}"


def end_probability(answer: Any) -> float:
    """From a completion of one token, in OpenAI's own form or in llama.cpp's."""
    try:
        logprobs = answer["choices"][0]["logprobs"]
        if "content" in logprobs:
            likely = {
                one["token"]: one["logprob"] for one in logprobs["content"][0]["top_logprobs"]
            }
        else:
            likely = logprobs["top_logprobs"][0]
        return min(1.0, sum(math.exp(one) for token, one in likely.items() if _is_end(token)))
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise NotAScoreError(type(error).__name__) from error


def _is_end(token: str) -> bool:
    """True for the end of the line, of the text or of a sentence; not for the dot in `.com`."""
    word = token.strip(" ")
    if not token or "\n" in token or word.startswith(_SPECIAL):
        return True
    return word[:1] in _MARKS and not any(map(str.isalnum, word)) if word else False


def _line(words: str) -> str:
    return " ".join(words[-MAX_CHARACTERS:].split())
