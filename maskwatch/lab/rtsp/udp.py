"""A pair of neighbouring UDP ports, even for RTP and odd for RTCP, towards one client."""

from __future__ import annotations

import asyncio
import errno

__all__ = ["open_pair"]

_TRIES = 20


async def open_pair(
    hosts: tuple[str, str], rtp_port: int, rtcp_port: int
) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport, int]:
    """Sockets from our host to the client's two ports, and our even port.

    Raises OSError if no two neighbouring ports are free.
    """
    for _ in range(_TRIES):
        rtp = await _open(hosts, rtp_port, 0)
        port = int(rtp.get_extra_info("sockname")[1])
        if port % 2 == 0:
            try:
                return rtp, await _open(hosts, rtcp_port, port + 1), port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        rtp.close()
    raise OSError(errno.EADDRINUSE, "no two neighbouring UDP ports are free")


async def _open(hosts: tuple[str, str], port: int, local_port: int) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(hosts[0], local_port), remote_addr=(hosts[1], port)
    )
    return transport
