"""Errors of the API: a gRPC code, and google.rpc details that a program can read (AIP-193)."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from visavis_runtime import log
from visavis_runtime.errors import BusUnavailable, VisavisError

DOMAIN = "visavis"

logger = log.get(__name__)


class ApiError(VisavisError):
    """A call that is answered with an error. `reason` is stable, the text is for people."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason
        info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
        self.details: tuple[Message, ...] = (info, *details)

    def status(self) -> grpc.Status:
        """The error in the form that goes over the wire."""
        packed = [any_pb2.Any() for _ in self.details]
        for one, detail in zip(packed, self.details, strict=True):
            one.Pack(detail)
        number: int = self.code.value[0]
        return rpc_status.to_status(
            status_pb2.Status(code=number, message=str(self), details=packed)
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field: its path in the request, a stable reason, a sentence."""

    field: str
    reason: str
    text: str


def invalid(problems: Sequence[Problem]) -> ApiError:
    """INVALID_ARGUMENT with every problem of the request."""
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=problem.field, description=problem.text, reason=problem.reason
        )
        for problem in problems
    ]
    text = "; ".join(f"{problem.field}: {problem.text}" for problem in problems)
    bad = error_details_pb2.BadRequest(field_violations=violations)
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", text, bad)


def unauthenticated() -> ApiError:
    """No key, or a wrong one; which of the two is not told."""
    text = "this call needs a known API key in the metadata entry authorization: Bearer <secret>"
    return ApiError(grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID", text)


def session_unknown(session_id: str) -> ApiError:
    """No such session, or its records have expired."""
    text = f"there is no session {session_id}"
    return ApiError(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", text)


def session_over(session_id: str) -> ApiError:
    """The session is ending or has ended."""
    text = f"session {session_id} is over"
    return ApiError(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_OVER", text)


def request_id_taken(request_id: str) -> ApiError:
    """The request id stands for another request."""
    text = f"request_id {request_id!r} was used for a different request"
    return ApiError(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_TAKEN", text)


def room_taken(room: str) -> ApiError:
    """The client's room and identity stand for a live session of another kind."""
    text = f"room {room!r} and this identity have a session with another character"
    return ApiError(grpc.StatusCode.ALREADY_EXISTS, "ROOM_TAKEN", text)


def forbidden(reason: str, text: str) -> ApiError:
    """Known or not: nobody may do this from there."""
    return ApiError(grpc.StatusCode.PERMISSION_DENIED, reason, text)


def no_slot(retry_s: float) -> ApiError:
    """No worker took the session in time."""
    text = "no worker has room for another session now"
    return ApiError(grpc.StatusCode.RESOURCE_EXHAUSTED, "NO_FREE_SLOT", text, retry(retry_s))


def unavailable(reason: str, text: str, retry_s: float = 1.0) -> ApiError:
    """Nothing wrong with the call: it may be tried again."""
    return ApiError(grpc.StatusCode.UNAVAILABLE, reason, text, retry(retry_s))


def internal() -> ApiError:
    """A fault of ours; the log holds the rest."""
    return ApiError(grpc.StatusCode.INTERNAL, "INTERNAL", "an internal error was logged")


def as_api_error(error: Exception, method: str) -> ApiError:
    """What a call tells of an error; what it does not tell is logged."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BusUnavailable):
        logger.warning("call.bus_unavailable", method=method, error=repr(error))
        return unavailable("BUS_UNAVAILABLE", "the message bus does not answer")
    logger.error("call.failed", method=method, exc_info=error)
    return internal()


def retry(after_s: float) -> error_details_pb2.RetryInfo:
    """When to try again."""
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(after_s * 1e9))
    return info
