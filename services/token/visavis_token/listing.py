"""The sessions that are remembered, in pages, read from the store's stream without waiting."""

from visavis.session.v1 import session_pb2 as api
from visavis_runtime.bus import Bus
from visavis_token import grpc_errors, limits
from visavis_token.grpc_errors import Problem
from visavis_token.records import Records, RecordStore

LOOKS = 1_000
"""Longest way through sessions that do not match: then a shorter page is given."""


class Listing:
    """A page token is the place in the store of the last session that was looked at."""

    def __init__(self, bus: Bus) -> None:
        self._records = RecordStore(bus)

    async def page(self, request: api.ListSessionsRequest) -> api.ListSessionsResponse:
        """The next sessions in one of the wanted states (none named: in any).

        Raises ApiError INVALID_ARGUMENT for a page token that is not ours.
        """
        size = request.page_size or limits.DEFAULT_PAGE_SIZE
        response, looked = api.ListSessionsResponse(), 0
        async for place, spec in self._records.specs(_place(request.page_token)):
            status, _ = await self._records.status(spec.session_id)
            session = Records(spec, status).view()
            if not request.states or session.state in request.states:
                response.sessions.append(session)
            looked += 1
            if len(response.sessions) == size or looked == LOOKS:
                response.next_page_token = f"{place:x}"
                break
        return response


def _place(page_token: str) -> int:
    try:
        return int(page_token or "0", 16)
    except ValueError:
        text = "is not a next_page_token of this call"
        raise grpc_errors.invalid([Problem("page_token", "MALFORMED", text)]) from None
