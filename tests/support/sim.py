"""motion_sim's control side: faults on demand, and what it has seen."""

from typing import Any

import aiohttp


class Sim:
    """`url`: see `LocalStack.motion_sim_url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def order(self, **faults: Any) -> int:
        """See motion_sim's README; how many open connections were acted on."""
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self._url}/sim/faults", json=faults) as response,
        ):
            response.raise_for_status()
            return int((await response.json())["affected"])

    async def reset(self) -> None:
        """Serve well again."""
        async with (
            aiohttp.ClientSession() as client,
            client.delete(f"{self._url}/sim/faults") as response,
        ):
            response.raise_for_status()

    async def stats(self) -> dict[str, Any]:
        """What it has seen."""
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{self._url}/sim/stats") as response,
        ):
            found: dict[str, Any] = await response.json()
            return found
