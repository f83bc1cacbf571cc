"""The errors of the runtime, sorted by who must act.

VisavisError
├── BusError                 something about the bus
│   ├── BusUnavailable       try again later: no server, no leader, no answer in time
│   ├── NobodyThere          a request had no responder
│   ├── LeaseLost            stop: another holder has written its lease event
│   ├── WrongRevision        read again: somebody else changed the entry
│   ├── SubjectTaken         the subject holds its one message already
│   └── TooLarge             refuse the input: larger than the stream allows
└── Poison                   give the item up: no retry can help
"""


class VisavisError(Exception):
    """Root of all errors raised on purpose."""


class BusError(VisavisError):
    """Something about the bus."""


class BusUnavailable(BusError):
    """The server or a stream's leader did not answer in time; the caller may try again."""


class NobodyThere(BusError):
    """Nobody serves the subject of a request."""


class LeaseLost(BusError):
    """A guarded write was refused because a newer lease event exists."""


class WrongRevision(BusError):
    """A compare-and-set found another revision than the expected one."""


class SubjectTaken(BusError):
    """The subject may hold one message and holds it already."""


class TooLarge(BusError):
    """The message is larger than the server or the stream accepts."""


class Poison(VisavisError):
    """An item that no retry can save; `code` is stable, the text is for operators."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
