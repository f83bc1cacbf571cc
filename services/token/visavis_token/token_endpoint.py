"""`POST /token`: LiveKit's standard token endpoint, and the vendor's room demo's."""

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from visavis.session.v1 import session_pb2 as api
from visavis_runtime import log
from visavis_token import grpc_errors, http_errors, telemetry, token_request
from visavis_token.access import Access
from visavis_token.grpc_errors import Problem
from visavis_token.links import Links
from visavis_token.ports import RoomToken, RoomTokens
from visavis_token.token_request import TokenRequest

logger = log.get(__name__)

MAX_BODY_BYTES = 64 * 1024
_METHOD = "POST /token"


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to ask for: characters, the one for who names none, LiveKit for browsers."""

    characters: Container[str]
    default: str
    livekit_url: str


class TokenEndpoint:
    """Opens a session, or comes back to it, and signs the person's token."""

    def __init__(self, access: Access, links: Links, tokens: RoomTokens, offer: Offer) -> None:
        self._access, self._links, self._tokens, self._offer = access, links, tokens, offer

    def routes(self) -> list[web.RouteDef]:
        """For the HTTP server."""
        return [
            web.post("/token", self._post),
            web.route("OPTIONS", "/token", self._preflight),
        ]

    async def _preflight(self, request: web.Request) -> web.Response:
        headers = self._access.cors(request)
        is_allowed = "Access-Control-Allow-Origin" in headers
        return web.Response(status=204 if is_allowed else 403, headers=headers)

    async def _post(self, request: web.Request) -> web.Response:
        code = "OK"
        try:
            response = await self._give(request)
        except Exception as failure:  # the outermost loop of a call
            error = grpc_errors.as_api_error(failure, _METHOD)
            code = error.code.name
            logger.info("call.refused", method=_METHOD, code=code, reason=error.reason)
            response = http_errors.answer(error)
        telemetry.CALLS_TOTAL.labels(_METHOD, code).inc()
        response.headers.update({"Cache-Control": "no-store", **self._access.cors(request)})
        return response

    async def _give(self, request: web.Request) -> web.Response:
        key_id = self._access.admit(request)
        offer = self._offer
        wanted = token_request.parse(await _body(request), offer.characters, offer.default)
        session = await self._links.session(key_id, wanted)
        token = self._tokens.mint(
            session.room, _who(wanted, session), name=wanted.name, metadata=wanted.metadata
        )
        logger.info("session.created", session=session.session_id, key=key_id)
        profile = await self._links.profile(session.session_id)
        about = _about(session, token) | {"turn_taking": {"profile": profile}}
        return self._answer(wanted, session, token, {"visavis": about})

    def _answer(
        self, wanted: TokenRequest, session: api.Session, token: RoomToken, more: dict[str, Any]
    ) -> web.Response:
        if wanted.is_vendors:
            vendors = {
                "token": token.text,
                "url": self._offer.livekit_url,
                "room": session.room,
                "identity": _who(wanted, session),
            }
            return web.json_response(vendors | more)
        standard = {"server_url": self._offer.livekit_url, "participant_token": token.text}
        return web.json_response(standard | more, status=201)


def _who(wanted: TokenRequest, session: api.Session) -> str:
    """Whoever names an identity comes under it, though another person may be bound by now."""
    return wanted.identity or session.participant_identity


def _about(session: api.Session, token: RoomToken) -> dict[str, Any]:
    """Beside what LiveKit's clients read. `expires_at`: of the token, for a first join."""
    face = session.avatar
    return {
        "session_id": session.session_id,
        "expires_at": token.expires.isoformat(timespec="seconds"),
        "avatar": {
            "provider": face.provider,
            "app_id": face.app_id,
            "avatar_id": face.avatar_id,
            "region": face.region,
            "mode": face.mode,
        },
    }


async def _body(request: web.Request) -> object:
    # A type that a page elsewhere cannot send without asking first (CORS).
    if request.content_type != "application/json":
        raise grpc_errors.invalid(
            [Problem("Content-Type", "MALFORMED", "must be application/json")]
        )
    data = await request.content.read(MAX_BODY_BYTES + 1)
    while len(data) <= MAX_BODY_BYTES and not request.content.at_eof():
        data += await request.content.read(MAX_BODY_BYTES + 1 - len(data))
    if len(data) > MAX_BODY_BYTES:
        text = f"has more than {MAX_BODY_BYTES} bytes"
        raise grpc_errors.invalid([Problem("body", "TOO_LONG", text)])
    try:
        return json.loads(data or b"{}")
    except (ValueError, RecursionError):
        raise grpc_errors.invalid([Problem("body", "MALFORMED", "is not JSON")]) from None
