"""The errors of the runtime, sorted by who must act.

VisavisError               everything raised on purpose
├── BusError               something about the bus
│   ├── BusUnavailable     try again later: no server, no leader, no answer in time
│   ├── Forbidden          ask the operator: the account's permissions do not cover an act
│   ├── NobodyThere        nobody serves the subject of a request
│   ├── LeaseLost          stop: a guarded write was refused, another holder wrote its lease event
│   ├── WrongRevision      read again: a compare-and-set found another revision
│   ├── SubjectTaken       the subject holds its one message already
│   └── TooLarge           refuse the input: larger than the server or the stream accepts
└── Poison                 give the item up: no retry can help
"""
# ruff: noqa: D101 - the tree says it once


class VisavisError(Exception): ...


class BusError(VisavisError): ...


class BusUnavailable(BusError): ...


class Forbidden(BusError): ...


class NobodyThere(BusError): ...


class LeaseLost(BusError): ...


class WrongRevision(BusError): ...


class SubjectTaken(BusError): ...


class TooLarge(BusError): ...


class Poison(VisavisError):
    """An item that no retry can save; `code` is stable, the text is for operators."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
