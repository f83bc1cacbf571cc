"""Errors of the API as HTTP answers in JSON."""

import math

import grpc
from aiohttp import web
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from visavis_token.grpc_errors import ApiError

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
}


def answer(error: ApiError) -> web.Response:
    """`{"error": {"code", "message", "fields": {path: what is wrong with it}}}`."""
    fields: dict[str, str] = {}
    headers: dict[str, str] = {}
    for detail in error.details:
        if isinstance(detail, error_details_pb2.BadRequest):
            fields |= {one.field: one.description for one in detail.field_violations}
        elif isinstance(detail, error_details_pb2.RetryInfo):
            retry_s = detail.retry_delay.ToTimedelta().total_seconds()
            headers["Retry-After"] = str(math.ceil(retry_s))
    if error.code == grpc.StatusCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    told = {"code": error.reason, "message": str(error)} | ({"fields": fields} if fields else {})
    status = _STATUS.get(error.code, 500)
    return web.json_response({"error": told}, status=status, headers=headers)
