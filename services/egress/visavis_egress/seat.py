"""Keeps an avatar seated: starts it, rebuilds it when it is lost, falls back when it is refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from visavis_egress.avatar import Avatar, OnLost
from visavis_egress.ending import ended
from visavis_egress.errors import AvatarError, AvatarTrouble, AvatarUnavailable, RoomUnavailable
from visavis_egress.room import RoomEvent
from visavis_runtime import log

logger = log.get(__name__)

OnPlayback = Callable[[RoomEvent], None]
"""Takes AvatarPlays and AvatarPlayed of an avatar that reports its playback itself."""

MakeAvatar = Callable[[OnLost, OnPlayback], Awaitable[Avatar]]

_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Before each of the five tries in a row."""
_SETTLED_S = 10.0
"""An avatar that is lost sooner was never well seated: it counts as a failed try."""


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
        self._seated: tuple[Avatar, OnLost] | None = None
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

    async def duck(self, *, is_low: bool) -> None:
        """Lower the voice, or raise it again."""
        await self._act(lambda avatar: avatar.duck(is_low=is_low))

    async def aclose(self) -> None:
        """Let the avatar go."""
        await ended([self._task])

    async def _act(self, act: Callable[[Avatar], Awaitable[None]]) -> None:
        if not self._seated:
            return
        avatar, on_lost = self._seated
        try:
            await act(avatar)
        except AvatarUnavailable as error:
            on_lost(error.trouble)  # this one's loss: another may be seated by now

    async def _run(self) -> None:
        try:
            await self._be_seated()
        except Exception as error:  # the outermost loop: a vendor library may raise anything
            logger.exception("avatar.crashed")
            self._listener.avatar_failed(AvatarTrouble("internal", type(error).__name__))

    async def _be_seated(self) -> None:
        try:
            await self._keep_seated(self._make)
        except AvatarError as error:
            logger.error("avatar.refused", code=error.trouble.code)
            if self._fallback is None:
                self._listener.avatar_failed(error.trouble)
                return
            self._listener.avatar_fallback(error.trouble)
        else:
            return
        try:
            await self._keep_seated(self._fallback)
        except AvatarError as error:
            logger.error("avatar.fallback_failed", code=error.trouble.code)
            self._listener.avatar_failed(error.trouble)

    async def _keep_seated(self, make: MakeAvatar) -> None:
        """Raises AvatarRefused, or AvatarUnavailable after five tries in a row."""
        tries = 0
        while True:
            await asyncio.sleep(_PAUSES_S[tries])
            began = time.monotonic()
            try:
                trouble = await self._seat_one(make)
            except AvatarUnavailable as error:
                trouble = error.trouble
                logger.warning("avatar.unavailable", code=trouble.code)
            except RoomUnavailable as error:
                trouble = AvatarTrouble("roomUnavailable", str(error))
                logger.warning("avatar.unavailable", code=trouble.code)
            has_settled = time.monotonic() - began >= _SETTLED_S
            tries = 0 if has_settled else tries + 1
            if tries == len(_PAUSES_S):
                raise AvatarUnavailable(trouble)

    async def _seat_one(self, make: MakeAvatar) -> AvatarTrouble:
        """One avatar from its start to its loss. Raises AvatarError when it cannot start."""
        lost: asyncio.Future[AvatarTrouble] = asyncio.get_running_loop().create_future()

        def on_lost(trouble: AvatarTrouble) -> None:
            if not lost.done():
                lost.set_result(trouble)

        avatar = await make(on_lost, self._listener.on_room)
        try:
            connection_id = await avatar.start()
            self._seated = avatar, on_lost
            self._listener.avatar_started(connection_id)
            trouble = await lost
            self._seated = None
            self._listener.avatar_lost(trouble)
            return trouble
        finally:
            self._seated = None
            await avatar.aclose()
