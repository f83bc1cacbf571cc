"""Who may use the HTTP side: keys, the public demo, pages that are served elsewhere."""

from collections.abc import Container
from urllib.parse import urlsplit

from aiohttp import web

from visavis_token import grpc_errors
from visavis_token.api_keys import ApiKeys
from visavis_token.settings import LOOPBACK

PUBLIC = "(public)"
"""Stands where a key's id stands; no key can have it."""


class Access:
    """`origins`: of the pages elsewhere that may ask. `is_public`: without a key, on loopback."""

    def __init__(self, keys: ApiKeys, origins: Container[str] = (), *, is_public: bool) -> None:
        self._keys, self._origins, self._is_public = keys, origins, is_public

    def admit(self, request: web.Request) -> str:
        """The id of the caller's key. Raises ApiError UNAUTHENTICATED, PERMISSION_DENIED."""
        shown = request.headers.get("Authorization", "")
        if key_id := self._keys.bearer(shown):
            return key_id
        if shown or not self._is_public:
            raise grpc_errors.unauthenticated()
        # A page elsewhere that has its own name resolved to our address would count as ours.
        if urlsplit(f"//{request.host}").hostname not in LOOPBACK:
            text = "without a key this server is for 127.0.0.1 and localhost only"
            raise grpc_errors.forbidden("NOT_LOCAL", text)
        return PUBLIC

    def cors(self, request: web.Request) -> dict[str, str]:
        """What a browser needs to know to let a page elsewhere read our answer."""
        origin = request.headers.get("Origin", "")
        if origin not in self._origins:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Expose-Headers": "Retry-After",
            "Access-Control-Max-Age": "600",
        }
