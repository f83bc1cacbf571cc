"""The console: session tokens for API keys, errors in the vendor's shape."""

import hmac
import json
import time
from http import HTTPStatus

from aiohttp import web

from visavis_motion_sim.faults import Faults
from visavis_motion_sim.settings import Settings
from visavis_motion_sim.stats import Stats
from visavis_motion_sim.tokens import Tokens

# Longest life of a token; the SDK asks for one hour.
_MAX_LIFE_S = 24 * 3600


def refusal_response(status: int, detail: str) -> web.Response:
    """`{"errors": [{status, code, title, detail}]}`, all strings but the status."""
    phrase = HTTPStatus(status)
    problem = {"status": status, "code": phrase.name, "title": phrase.phrase, "detail": detail}
    return web.json_response({"errors": [problem]}, status=status)


class Console:
    """Handler of `POST /v1/console/session-tokens`."""

    def __init__(self, settings: Settings, tokens: Tokens, faults: Faults, stats: Stats) -> None:
        self._api_key = settings.api_key.get_secret_value()
        self._tokens = tokens
        self._faults = faults
        self._stats = stats

    async def handle(self, request: web.Request) -> web.Response:
        """200 `{"sessionToken"}`, 401 for a wrong key, 400 for a bad body."""
        if (ordered := self._faults.take_token_refusal()) is not None:
            return self._refused(ordered.http_status or 400, ordered.message)
        given = request.headers.get("X-Api-Key", "")
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            return self._refused(401, "invalid API key")
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            return self._refused(400, "body is not JSON")
        expire_at = body.get("expireAt") if isinstance(body, dict) else None
        now = time.time()
        if not isinstance(expire_at, int) or not now < expire_at <= now + _MAX_LIFE_S:
            return self._refused(400, "expireAt must be unix seconds within the next 24 hours")
        self._stats.tokens_issued += 1
        return web.json_response({"sessionToken": self._tokens.issue(float(expire_at), now)})

    def _refused(self, status: int, detail: str) -> web.Response:
        self._stats.refused(str(status))
        return refusal_response(status, detail)
