"""At which cameras somebody is at home: they are given their workers first.

To start a process takes a part of a second of processor time, and a hundred cameras that are switched
off must not keep the others waiting for it. So every address is knocked at once while the recorder
starts: a connection, closed again without a byte. Who does not answer in time comes later, no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterable

from maskwatch.config.addresses import host_and_port
from maskwatch.config.schema import CameraConfig

__all__ = ["Doorbell"]

_AT_ONCE = 100  # connections; each is a descriptor


class Doorbell:
    """Rings once at the enabled cameras; `answered` holds the names of those that did so far."""

    def __init__(self, cameras: Iterable[CameraConfig]) -> None:
        self.answered: set[str] = set()
        self._cameras = [camera for camera in cameras if camera.enabled]
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ring(self, seconds: float) -> None:
        """Knock at all of them, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*map(self._knock, self._cameras))

    async def _knock(self, camera: CameraConfig) -> None:
        address = host_and_port(camera.substream or camera.url)
        if address is None:  # a file is always there
            self.answered.add(camera.name)
        elif _is_number(address[0]):  # to look a name up may take long, and cannot be broken off
            async with self._room:
                await self._connect(camera.name, address)

    async def _connect(self, name: str, address: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            await asyncio.get_running_loop().sock_connect(sock, address)
            self.answered.add(name)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
