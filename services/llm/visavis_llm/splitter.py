"""Cuts a growing text into what is spoken at once: pure."""

import re

MAX_CHARACTERS = 400
"""A run without an end is cut here: synthesis costs time and memory by length."""
MIN_CLAUSE_CHARACTERS = 12
"""Shortest first piece that may end in the middle of a sentence; shorter ones sound chopped."""

_CLOSERS = r"[\"'”’»)\]*_]*"
# Every alternative looks at the next character, so that no piece depends on what has come so far.
_MARKS = re.compile(
    rf"""(?P<newline>\n)
    | (?P<stop>[.!?…]+){_CLOSERS}(?=\s)
    | (?P<wide>[。！？]+)[」』”’]*(?=[^。！？」』”’])
    | (?P<clause>[,;:—–]|(?<=\s)-){_CLOSERS}(?=\s)""",
    re.VERBOSE,
)
# The sentence seems to be over, which the next character will tell.
_OVER = re.compile(rf"[.!?…。！？][」』]*{_CLOSERS}\s*$")
_NEXT = re.compile(r"\s*?(\n|\S)")
_LAST_SPACE = re.compile(rf".{{1,{MAX_CHARACTERS}}}(?=\s)", re.DOTALL)
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_OPENERS = "\"'“‘«(["
# A full stop after these never ends a sentence.
_TITLE = re.compile(
    r"mrs?|ms|mx|messrs|dr|prof|st|mt|gen|col|sgt|capt|lt|cpl|rev|hon|gov|sen|pres|vs|approx", re.I
)
_BEFORE_NUMBER = re.compile(r"nos?|figs?|vol|pp?|ch|sec|art|ed", re.I)
_TIMES = frozenset(("a.m", "p.m"))


class Splitter:
    """Feed text, get whole pieces, the same however it arrives.

    Only the first one may end at a clause, to be heard sooner: when the rest of its sentence is not
    there yet.
    """

    def __init__(self, *, is_first: bool = True) -> None:
        self._is_first = is_first
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """The pieces that are complete now, in order, without white space around them."""
        self._text = (self._text + text).lstrip()
        pieces = []
        while end := self._end():
            pieces.append(self._text[:end].rstrip())
            self._text = self._text[end:].lstrip()
            self._is_first = False
        return pieces

    def flush(self) -> list[str]:
        """What is left at the end of the text."""
        rest, self._text = self._text.strip(), ""
        return [rest] if rest else []

    def _end(self) -> int:
        """Where the first piece ends; 0 while that is not known."""
        clause_end = 0
        for mark in _MARKS.finditer(self._text):
            if mark.end() > MAX_CHARACTERS:
                break
            if mark["newline"] or mark["wide"]:
                return mark.end()
            following = _NEXT.match(self._text, mark.end())
            if following is None:
                return self._early(clause_end)
            before = self._text[: mark.start()]
            if following[1] == "\n" or (not mark["clause"] and _ends(mark, before, following[1])):
                return mark.end()
            if mark["clause"] and not clause_end and _ends_clause(before, following[1]):
                clause_end = mark.end()
        if len(self._text) > MAX_CHARACTERS:
            return self._early(clause_end) or _hard_end(self._text)
        return self._early(clause_end)

    def _early(self, clause_end: int) -> int:
        """`clause_end`, if a piece may end there now."""
        return clause_end if self._is_first and not _OVER.search(self._text) else 0


def _ends(mark: re.Match[str], before: str, following: str) -> bool:
    if following.islower():
        return False
    return mark["stop"] != "." or _ends_sentence(before, following)


def _ends_clause(before: str, following: str) -> bool:
    """True if `before` can be spoken by itself."""
    *_, word = before.split() or [""]
    is_abbreviation = word.endswith(".")  # `e.g.,` belongs to what follows
    long_enough = len(before) + 1 >= MIN_CLAUSE_CHARACTERS
    return long_enough and not (is_abbreviation or following.isdigit())


def _ends_sentence(before: str, following: str) -> bool:
    """True if a full stop between `before` and `following` ends a sentence."""
    words = before.split()
    word = words[-1].lstrip(_OPENERS) if words else ""
    if _TITLE.fullmatch(word):
        return False
    if following.isdigit() and _BEFORE_NUMBER.fullmatch(word):
        return False
    if _DOTTED.fullmatch(word):
        return word.lower() in _TIMES
    is_initial = len(word) == 1 and word.isupper() and word != "I"
    is_list_number = word.isdigit() and len(words) == 1
    return not (is_initial or is_list_number)


def _hard_end(text: str) -> int:
    space = _LAST_SPACE.match(text)
    return space.end() if space else MAX_CHARACTERS
