"""One client's session: its requests, their answers, and the stream that it plays."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
import time
from typing import Protocol

from maskwatch.lab.rtsp.auth import Authenticator
from maskwatch.lab.rtsp.message import (
    TRACK,
    MessageError,
    Request,
    describe,
    describe_without_video,
    read_request,
    reply,
)
from maskwatch.lab.rtsp.playback import Mount, Segment, Start
from maskwatch.lab.rtsp.rtp import RtpStream, payloads
from maskwatch.lab.rtsp.transport import (
    ClientConnection,
    RtpSender,
    TcpSender,
    UdpSender,
    open_udp_pair,
)

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_CHANNEL = re.compile(r"interleaved=(\d+)")
_PORTS = re.compile(r"client_port=(\d+)-(\d+)")
_IDLE_S = 0.02
_MAX_LAG_S = 2.0


class Mounts(Protocol):
    """What a session uses of its server."""

    @property
    def authenticator(self) -> Authenticator:
        """Checks the login of every request."""

    def find(self, path: str) -> Mount | None:
        """Return the mount of a request's path."""


class Session:
    """Serves one client until either side closes the connection."""

    def __init__(
        self,
        mounts: Mounts,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        rng: random.Random,
    ) -> None:
        self.mount: Mount | None = None
        self._mounts = mounts
        self._reader = reader
        self._connection = ClientConnection(writer, rng)
        self._rng = rng
        self._rtp = RtpStream(rng)
        self._id = secrets.token_hex(8)
        self._sender: RtpSender | None = None
        self._playing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer requests until the connection ends; never raise for what a client does."""
        ended = (ConnectionError, asyncio.IncompleteReadError, MessageError)
        try:
            with contextlib.suppress(*ended):
                while request := await read_request(self._reader):
                    if not await self._serve(request):
                        break
        finally:
            self._release()
            await self._connection.wait_closed()

    def _release(self) -> None:
        """Close everything without waiting, since this task may be cancelled at any time."""
        if self._playing is not None:
            self._playing.cancel()
        if self._sender is not None:
            self._sender.close()
        self._connection.close()

    async def _serve(self, request: Request) -> bool:
        """Answer one request; return False if the connection is to be closed."""
        self._find_mount(request)
        faults = self._connection.faults
        if faults.close:
            return False
        if request.method == "OPTIONS":
            await self._answer(request, 200, {"Public": _METHODS})
        elif faults.status is not None:
            await self._refuse(request, faults.status)
        elif not self._allowed(request):
            await self._refuse(request, 401)
        elif self.mount is None or self.mount.playback.over(time.monotonic()):
            await self._refuse(request, 404)
        else:
            await self._handle(request, self.mount)
        return request.method != "TEARDOWN"

    def _find_mount(self, request: Request) -> None:
        """Take the mount, and thereby the faults, from the first request that names one."""
        if self.mount is None and (found := self._mounts.find(request.path)):
            self.mount = found
            self._connection.faults = found.faults
            found.counts.connections += 1

    def _allowed(self, request: Request) -> bool:
        authorization = request.headers.get("authorization", "")
        return self._mounts.authenticator.allows(request.method, authorization)

    async def _refuse(self, request: Request, code: int) -> None:
        headers: dict[str, str] = {}
        if code == 401:
            # Several values: one line each.
            joined = "\r\nWWW-Authenticate: ".join(self._mounts.authenticator.challenges())
            headers["WWW-Authenticate"] = joined
            if self.mount is not None:
                self.mount.counts.refused += 1
        await self._answer(request, code, headers)

    async def _handle(self, request: Request, mount: Mount) -> None:
        match request.method:
            case "DESCRIBE":
                await self._describe(request, mount)
            case "SETUP":
                await self._setup(request, mount)
            case "PLAY":
                await self._play(request, mount)
            case "PAUSE" | "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN":
                await self._answer(request, 200, {"Session": self._id})
            case _:
                await self._answer(request, 501, {})

    async def _describe(self, request: Request, mount: Mount) -> None:
        mount.counts.described += 1
        if mount.faults.redirect:
            await self._answer(request, 302, {"Location": mount.faults.redirect})
            return
        clip = mount.playback.described(time.monotonic())
        body = describe_without_video() if mount.faults.no_video else describe(clip)
        base = request.url.rstrip("/") + "/"
        headers = {"Content-Type": "application/sdp", "Content-Base": base}
        await self._answer(request, 200, headers, body)

    async def _setup(self, request: Request, mount: Mount) -> None:
        transport = request.headers.get("transport", "")
        if self._sender is not None:
            self._sender.close()
        kind = "tcp" if "TCP" in transport else "udp"
        if "multicast" in transport or kind == mount.faults.refuse:
            await self._answer(request, 461, {})
        elif kind == "tcp":
            found = _CHANNEL.search(transport)
            channel = int(found[1]) if found else 0
            self._sender = TcpSender(self._connection, channel)
            accepted = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
            await self._accept_setup(request, accepted)
        elif found := _PORTS.search(transport):
            rtp, rtcp, port = await open_udp_pair(self._connection.hosts, int(found[1]), int(found[2]))
            self._sender = UdpSender(mount.faults, self._rng, (rtp, rtcp))
            await self._accept_setup(
                request, f"RTP/AVP;unicast;{found[0]};server_port={port}-{port + 1}"
            )
        else:
            await self._answer(request, 461, {})

    async def _accept_setup(self, request: Request, transport: str) -> None:
        accepted = f"{transport};ssrc={self._rtp.ssrc:08X}"
        headers = {"Session": f"{self._id};timeout=60", "Transport": accepted}
        await self._answer(request, 200, headers)

    async def _play(self, request: Request, mount: Mount) -> None:
        if self._sender is None:
            await self._answer(request, 454, {})
            return
        now = time.monotonic()
        if mount.start is Start.CLIENT:
            mount.playback.play_unless_started(now)
        headers = {"Session": self._id, "Range": "npt=0.000-", "RTP-Info": self._rtp_info(request)}
        await self._answer(request, 200, headers)
        if self._playing is None:
            self._playing = asyncio.create_task(self._stream(mount, self._sender))

    def _rtp_info(self, request: Request) -> str:
        url = f"{request.url.rstrip('/')}/{TRACK}"
        return f"url={url};seq={self._rtp.sequence}"

    async def _stream(self, mount: Mount, sender: RtpSender) -> None:
        mount.counts.playing += 1
        try:
            with contextlib.suppress(ConnectionError):
                await _play_mount(mount, sender, self._rtp, self._rng)
        finally:
            mount.counts.playing -= 1
            self._connection.close()

    async def _answer(
        self, request: Request, code: int, headers: dict[str, str], body: str = ""
    ) -> None:
        await self._connection.send(reply(code, request.sequence, headers, body))


async def _play_mount(mount: Mount, sender: RtpSender, rtp: RtpStream, rng: random.Random) -> None:
    """Send frames until playback is over; the client joins at the last key frame.

    Raises ConnectionError when the client has closed the connection.
    """
    segment: Segment | None = None
    number = 0
    while not mount.playback.over(now := time.monotonic()) and not mount.faults.close:
        current = mount.playback.current(now)
        if current is None or mount.faults.stall:
            segment = None
            await asyncio.sleep(_IDLE_S)
            continue
        if current is not segment or _is_late(current, number, now):
            first = current.number_at if mount.faults.join_anywhere else current.key_before
            segment, number = current, first(now)
        wait = segment.due(number) - now if segment.has(number) else _IDLE_S
        if wait > 0:
            await asyncio.sleep(min(wait, _MAX_LAG_S))
            continue
        await _send_unit(mount, sender, rtp, rng, segment, number)
        number += 1
    await sender.rtcp(rtp.bye())


def _is_late(segment: Segment, number: int, now: float) -> bool:
    """Return whether the client reads too slowly, and a newer key frame exists to continue from."""
    if not segment.has(number) or now - segment.due(number) < _MAX_LAG_S:
        return False
    return segment.key_before(now) > number


async def _send_unit(
    mount: Mount,
    sender: RtpSender,
    rtp: RtpStream,
    rng: random.Random,
    segment: Segment,
    number: int,
) -> None:
    """Send the packets of one frame, except those that a fault drops."""
    faults, counts = mount.faults, mount.counts
    epoch = mount.playback.epoch - faults.clock_offset
    if faults.omit and rng.random() < faults.omit:
        counts.omitted += 1
        return
    ticks = round(segment.present_ticks(number, epoch) * faults.clock_rate)
    for payload, last in payloads(segment.clip.codec, segment.unit(number).nals):
        damaged = faults.damage(payload, rng)
        if damaged is None:
            rtp.skip()
            counts.dropped += 1
            continue
        counts.corrupted += damaged is not payload
        counts.packets += 1
        await sender.rtp(rtp.packet(damaged, ticks, last=last))
