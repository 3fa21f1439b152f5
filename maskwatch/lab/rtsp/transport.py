"""The ways to one client: its RTSP connection, RTP within it, RTP over UDP; faults that act on bytes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import ssl
from typing import Protocol

from maskwatch.lab.rtsp.faults import Faults
from maskwatch.lab.rtsp.rtp import interleave

_DRIP_STEP_S = 0.05
_FLUSH_S = 0.5
_BURST = 16  # datagrams sent without a pause
_MAX_TRIES = 20


class ClientConnection:
    """The RTSP connection to one client: whole messages, one at a time, subject to the path's faults."""

    def __init__(self, writer: asyncio.StreamWriter, rng: random.Random) -> None:
        self.faults = Faults()
        """The faults of the path that the client requested; none before its first request."""
        self._writer = writer
        self._rng = rng
        self._sending = asyncio.Lock()

    @property
    def hosts(self) -> tuple[str, str]:
        """The server's and the client's address."""
        ends = ("sockname", "peername")
        local, remote = (str(self._writer.get_extra_info(end)[0]) for end in ends)
        return local, remote

    async def send(self, message: bytes) -> None:
        """Send a message; return when the connection accepts more. Raises ConnectionError."""
        if self.faults.silent:
            return
        if self.faults.garbage:
            message = self._rng.randbytes(len(message))
        async with self._sending:
            message = await self._drip(message)
            self._writer.write(message)
            await self._writer.drain()

    async def _drip(self, message: bytes) -> bytes:
        """Send bytes slowly while the fault lasts; return the rest."""
        while message and (rate := self.faults.drip):
            step = max(1, int(rate * _DRIP_STEP_S))
            self._writer.write(message[:step])
            message = message[step:]
            await asyncio.sleep(step / rate)
        return message

    def close(self) -> None:
        """Close the connection after what was written has been sent."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Wait until the connection has closed; abort it if the client does not read for 0.5 s."""
        try:
            with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
                await asyncio.wait_for(self._writer.wait_closed(), _FLUSH_S)
        finally:
            self._writer.transport.abort()


class RtpSender(Protocol):
    """Sends the packets of one client's stream."""

    async def rtp(self, packet: bytes) -> None:
        """Send an RTP packet. Raises ConnectionError."""

    async def rtcp(self, packet: bytes) -> None:
        """Send an RTCP packet. Raises ConnectionError."""

    def close(self) -> None:
        """Close the sender's own sockets."""


class TcpSender:
    """Sends packets interleaved in the RTSP connection."""

    def __init__(self, connection: ClientConnection, channel: int) -> None:
        self._connection = connection
        self._channel = channel

    async def rtp(self, packet: bytes) -> None:
        """Send an RTP packet. Raises ConnectionError."""
        await self._connection.send(interleave(self._channel, packet))

    async def rtcp(self, packet: bytes) -> None:
        """Send an RTCP packet. Raises ConnectionError."""
        await self._connection.send(interleave(self._channel + 1, packet))

    def close(self) -> None:
        """Do nothing: the connection belongs to the session."""


class UdpSender:
    """Sends packets as datagrams, with a pause between bursts so that no buffer overflows."""

    def __init__(
        self,
        faults: Faults,
        rng: random.Random,
        sockets: tuple[asyncio.DatagramTransport, asyncio.DatagramTransport],
    ) -> None:
        self._faults = faults
        self._rng = rng
        self._rtp, self._rtcp = sockets
        self._sent = 0

    async def rtp(self, packet: bytes) -> None:
        """Send an RTP packet. Raises ConnectionError."""
        self._sent += 1
        if self._sent % _BURST == 0:
            await asyncio.sleep(0.001)
        if self._faults.drip:
            await asyncio.sleep(len(packet) / self._faults.drip)
        self._send(self._rtp, packet)

    async def rtcp(self, packet: bytes) -> None:
        """Send an RTCP packet. Raises ConnectionError."""
        self._send(self._rtcp, packet)

    def _send(self, socket: asyncio.DatagramTransport, packet: bytes) -> None:
        if self._faults.silent or socket.is_closing():
            return
        socket.sendto(self._rng.randbytes(len(packet)) if self._faults.garbage else packet)

    def close(self) -> None:
        """Close both sockets."""
        self._rtp.close()
        self._rtcp.close()


async def open_udp_pair(
    hosts: tuple[str, str], rtp_port: int, rtcp_port: int
) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport, int]:
    """Return sockets to the client's two ports, the first with the even local port, and that port.

    `hosts` are the server's and the client's address. Raises OSError if no pair of ports is free.
    """
    for _ in range(_MAX_TRIES):
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
