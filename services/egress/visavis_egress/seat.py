"""Keeps an avatar seated: starts it, rebuilds it when it is lost, falls back when it is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from visavis_egress.avatar import Avatar, OnLost
from visavis_egress.errors import AvatarError, AvatarRefused, AvatarTrouble, AvatarUnavailable
from visavis_egress.room import RoomEvent
from visavis_runtime import log

logger = log.get(__name__)

OnPlayback = Callable[[RoomEvent], None]
"""Takes AvatarPlays and AvatarPlayed of an avatar that reports its playback itself."""

MakeAvatar = Callable[[OnLost, OnPlayback], Awaitable[Avatar]]

_TRIES = 5
_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)


class SeatListener(Protocol):
    """What the seat tells; all on the event loop."""

    def on_room(self, event: RoomEvent) -> None:
        """Playback of an avatar that reports it itself."""

    def avatar_started(self, connection_id: str) -> None:
        """An avatar can take audio."""

    def avatar_lost(self, trouble: AvatarTrouble) -> None:
        """It is gone; another one is being started."""

    def avatar_fallback(self, trouble: AvatarTrouble) -> None:
        """The vendor will not serve us; the voice alone takes over."""

    def avatar_failed(self, trouble: AvatarTrouble) -> None:
        """The vendor will not serve us, and there is no fallback."""


class Seat:
    """One session's avatar over all its connections."""

    def __init__(
        self, make: MakeAvatar, fallback: MakeAvatar | None, listener: SeatListener
    ) -> None:
        self._make, self._fallback, self._listener = make, fallback, listener
        self._avatar: Avatar | None = None
        self._lost: asyncio.Future[AvatarTrouble] | None = None
        self._task = asyncio.create_task(self._run(), name="avatar seat")

    async def play(self, pcm: bytes) -> None:
        """Speak samples; dropped while no avatar is seated (the conversation keeps them)."""
        await self._act(lambda avatar: avatar.play(pcm))

    async def finish(self) -> None:
        """The open request has no more samples."""
        await self._act(lambda avatar: avatar.finish())

    async def interrupt(self) -> None:
        """Be silent."""
        await self._act(lambda avatar: avatar.interrupt())

    async def aclose(self) -> None:
        """Let the avatar go."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._avatar:
            await self._avatar.aclose()
            self._avatar = None

    async def _act(self, act: Callable[[Avatar], Awaitable[None]]) -> None:
        if not self._avatar:
            return
        try:
            await act(self._avatar)
        except AvatarUnavailable as error:
            self._on_lost(error.trouble)

    def _on_lost(self, trouble: AvatarTrouble) -> None:
        if self._lost and not self._lost.done():
            self._lost.set_result(trouble)

    async def _run(self) -> None:
        try:
            await self._keep_seated(self._make)
        except AvatarError as error:
            logger.error("avatar.refused", code=error.trouble.code)
            if self._fallback is None:
                self._listener.avatar_failed(error.trouble)
                return
            self._listener.avatar_fallback(error.trouble)
            await self._keep_seated(self._fallback)

    async def _keep_seated(self, make: MakeAvatar) -> None:
        while True:
            lost = self._lost = asyncio.get_running_loop().create_future()
            self._avatar, connection_id = await self._start(make)
            self._listener.avatar_started(connection_id)
            trouble = await lost
            gone, self._avatar = self._avatar, None
            self._listener.avatar_lost(trouble)
            await gone.aclose()

    async def _start(self, make: MakeAvatar) -> tuple[Avatar, str]:
        """A started avatar. Raises AvatarRefused, or AvatarUnavailable after five tries."""
        trouble = AvatarTrouble("unreachable")
        for pause_s in _PAUSES_S[:_TRIES]:
            await asyncio.sleep(pause_s)
            avatar = await make(self._on_lost, self._listener.on_room)
            try:
                return avatar, await avatar.start()
            except AvatarRefused:
                await avatar.aclose()
                raise
            except AvatarUnavailable as error:
                trouble = error.trouble
                logger.warning("avatar.unavailable", code=trouble.code)
                await avatar.aclose()
            except asyncio.CancelledError:
                await avatar.aclose()
                raise
        raise AvatarUnavailable(trouble)
