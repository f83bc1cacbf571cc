"""Words that say "go on" and take no turn, and what an utterance is when compared."""

import re

_SIGNS = frozenset(
    """mm mhm mmhm hm hmm hmmm mmm uh huh uhhuh um ah aha oh ooh wow yeah yep yup yes ya okay ok k
    right sure alright cool nice great good exactly indeed really absolutely totally true haha ha
    hah hahaha heh hehe""".split()  # noqa: SIM905, a list of words reads better as words
)
_PHRASES = frozenset(("i see", "got it", "of course", "all right", "makes sense", "go on"))
_MOST_WORDS = 4
_NOT_A_LETTER = re.compile(r"[^\w']+")


def normalised(text: str) -> str:
    """The words alone: what differs in case and punctuation only is the same."""
    return " ".join(_NOT_A_LETTER.sub(" ", text.casefold()).split())


def word_count(text: str) -> int:
    """How many words it has."""
    return len(normalised(text).split())


def is_backchannel(text: str) -> bool:
    """A sign of attention ("mm-hm", "okay, sure"), a laugh, or nothing."""
    words = f" {normalised(text)} "
    for phrase in _PHRASES:
        words = words.replace(f" {phrase} ", " ")
    rest = words.split()
    return len(rest) <= _MOST_WORDS and all(word in _SIGNS for word in rest)
