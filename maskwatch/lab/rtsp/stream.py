"""Send one client what the camera shows, in time, with the faults that act on packets."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol

from maskwatch.lab.rtsp.mount import Mount
from maskwatch.lab.rtsp.playback import Segment
from maskwatch.lab.rtsp.rtp import RtpStream, interleave, payloads
from maskwatch.lab.rtsp.wire import Wire

__all__ = ["Outlet", "TcpOutlet", "UdpOutlet", "stream"]

_IDLE_S = 0.02
_LATE_S = 2.0
_BURST = 16


class Outlet(Protocol):
    """Where the packets of one client go."""

    async def rtp(self, packet: bytes) -> None:
        """Send a packet of the stream. Raises ConnectionError."""

    async def rtcp(self, packet: bytes) -> None:
        """Send a packet of control. Raises ConnectionError."""

    def close(self) -> None:
        """Give back what belongs to this outlet."""


class TcpOutlet:
    """Packets inside the RTSP connection."""

    def __init__(self, wire: Wire, channel: int) -> None:
        self._wire = wire
        self._channel = channel

    async def rtp(self, packet: bytes) -> None:
        """Send a packet of the stream. Raises ConnectionError."""
        await self._wire.send(interleave(self._channel, packet))

    async def rtcp(self, packet: bytes) -> None:
        """Send a packet of control. Raises ConnectionError."""
        await self._wire.send(interleave(self._channel + 1, packet))

    def close(self) -> None:
        """Nothing of its own to close."""


class UdpOutlet:
    """Packets as datagrams, with a breath between bursts so that no buffer overflows."""

    def __init__(
        self,
        mount: Mount,
        rng: random.Random,
        sockets: tuple[asyncio.DatagramTransport, asyncio.DatagramTransport],
    ) -> None:
        self._faults = mount.faults
        self._rng = rng
        self._rtp, self._rtcp = sockets
        self._sent = 0

    async def rtp(self, packet: bytes) -> None:
        """Send a packet of the stream. Raises ConnectionError."""
        self._sent += 1
        if self._sent % _BURST == 0:
            await asyncio.sleep(0.001)
        if self._faults.drip:
            await asyncio.sleep(len(packet) / self._faults.drip)
        self._send(self._rtp, packet)

    async def rtcp(self, packet: bytes) -> None:
        """Send a packet of control. Raises ConnectionError."""
        self._send(self._rtcp, packet)

    def _send(self, socket: asyncio.DatagramTransport, packet: bytes) -> None:
        if self._faults.silent or socket.is_closing():
            return
        socket.sendto(self._rng.randbytes(len(packet)) if self._faults.garbage else packet)

    def close(self) -> None:
        """Close both sockets."""
        self._rtp.close()
        self._rtcp.close()


async def stream(mount: Mount, outlet: Outlet, rtp: RtpStream, rng: random.Random) -> None:
    """Play until the programme is over; the client joins at the last key frame.

    Raises ConnectionError when the client is gone.
    """
    segment: Segment | None = None
    number = 0
    while not mount.playback.over(now := time.monotonic()) and not mount.faults.close:
        current = mount.playback.current(now)
        if current is None or mount.faults.stall:
            segment = None
            await asyncio.sleep(_IDLE_S)
            continue
        if current is not segment or _late(current, number, now):
            segment, number = current, current.key_before(now)
        wait = segment.due(number) - now if segment.has(number) else _IDLE_S
        if wait > 0:
            await asyncio.sleep(min(wait, _LATE_S))
            continue
        await _send_unit(mount, outlet, rtp, rng, segment, number)
        number += 1
    await outlet.rtcp(rtp.goodbye())


def _late(segment: Segment, number: int, now: float) -> bool:
    """The client reads too slowly, and there is a newer key frame to go on from."""
    if not segment.has(number) or now - segment.due(number) < _LATE_S:
        return False
    return segment.key_before(now) > number


async def _send_unit(
    mount: Mount,
    outlet: Outlet,
    rtp: RtpStream,
    rng: random.Random,
    segment: Segment,
    number: int,
) -> None:
    """The packets of one frame, less those that the faults eat."""
    faults, counts = mount.faults, mount.counts
    epoch = mount.playback.epoch - faults.clock_offset
    if faults.omit and rng.random() < faults.omit:
        counts.omitted += 1
        return
    ticks = segment.present_ticks(number, epoch)
    for payload, last in payloads(segment.clip.codec, segment.unit(number).nals):
        damaged = faults.damage(payload, rng)
        if damaged is None:
            rtp.lose()
            counts.dropped += 1
            continue
        counts.corrupted += damaged is not payload
        counts.packets += 1
        await outlet.rtp(rtp.packet(damaged, ticks, last=last))
