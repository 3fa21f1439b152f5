"""The byte stream to one client, with the faults that act on bytes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl

from maskwatch.lab.rtsp.faults import Faults

__all__ = ["Wire"]

_DRIP_STEP_S = 0.05
_FLUSH_S = 0.5


class Wire:
    """Writes whole messages, one at a time, as the faults of the path allow."""

    def __init__(self, writer: asyncio.StreamWriter, rng: random.Random) -> None:
        self.faults = Faults()
        """Those of the path that the client asked for, once that is known."""
        self._writer = writer
        self._rng = rng
        self._whole = asyncio.Lock()

    @property
    def hosts(self) -> tuple[str, str]:
        """Our address and the client's."""
        ends = ("sockname", "peername")
        local, remote = (str(self._writer.get_extra_info(end)[0]) for end in ends)
        return local, remote

    async def send(self, message: bytes) -> None:
        """Send a message; returns when the connection takes more. Raises ConnectionError."""
        if self.faults.silent:
            return
        if self.faults.garbage:
            message = self._rng.randbytes(len(message))
        async with self._whole:
            message = await self._drip(message)
            self._writer.write(message)
            await self._writer.drain()

    async def _drip(self, message: bytes) -> bytes:
        """Let bytes out slowly while the fault lasts; returns what is left."""
        while message and (rate := self.faults.drip):
            step = max(1, int(rate * _DRIP_STEP_S))
            self._writer.write(message[:step])
            message = message[step:]
            await asyncio.sleep(step / rate)
        return message

    def close(self) -> None:
        """End the connection once what was written is on its way."""
        self._writer.close()

    async def closed(self) -> None:
        """Wait until the connection has ended; a client that does not read waits in vain."""
        try:
            with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
                await asyncio.wait_for(self._writer.wait_closed(), _FLUSH_S)
        finally:
            self._writer.transport.abort()
