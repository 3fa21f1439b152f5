"""One client's connection: its requests, their answers, and the stream it plays."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
import time
from typing import Protocol

from maskwatch.lab.rtsp.auth import Authenticator
from maskwatch.lab.rtsp.message import MessageError, Request, read_request, reply
from maskwatch.lab.rtsp.mount import Mount, Start
from maskwatch.lab.rtsp.rtp import RtpStream
from maskwatch.lab.rtsp.sdp import TRACK, describe, describe_without_video
from maskwatch.lab.rtsp.stream import Outlet, TcpOutlet, UdpOutlet, stream
from maskwatch.lab.rtsp.udp import open_pair
from maskwatch.lab.rtsp.wire import Wire

__all__ = ["Mounts", "Session"]

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_CHANNEL = re.compile(r"interleaved=(\d+)")
_PORTS = re.compile(r"client_port=(\d+)-(\d+)")


class Mounts(Protocol):
    """What a session needs of its server."""

    @property
    def authenticator(self) -> Authenticator:
        """Who may come in."""

    def find(self, path: str) -> Mount | None:
        """The mount of a path as it stands in a request."""


class Session:
    """Serves one client until it leaves, is sent away or the server closes."""

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
        self._wire = Wire(writer, rng)
        self._rng = rng
        self._rtp = RtpStream(rng)
        self._id = secrets.token_hex(8)
        self._outlet: Outlet | None = None
        self._playing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer requests until the connection ends; never raises for what a client does."""
        gone = (ConnectionError, asyncio.IncompleteReadError, MessageError)
        try:
            with contextlib.suppress(*gone):
                while request := await read_request(self._reader):
                    if not await self._serve(request):
                        break
        finally:
            self._let_go()
            await self._wire.closed()

    def _let_go(self) -> None:
        """Give everything back, waiting for nothing: this very task may be cancelled any time."""
        if self._playing is not None:
            self._playing.cancel()
        if self._outlet is not None:
            self._outlet.close()
        self._wire.close()

    async def _serve(self, request: Request) -> bool:
        """Answer one request; False if the connection is to be closed."""
        self._enter(request)
        faults = self._wire.faults
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

    def _enter(self, request: Request) -> None:
        """Learn from the request which path, and so whose faults, this is about."""
        if self.mount is None and (found := self._mounts.find(request.path)):
            self.mount = found
            self._wire.faults = found.faults
            found.counts.connections += 1

    def _allowed(self, request: Request) -> bool:
        authorization = request.headers.get("authorization", "")
        return self._mounts.authenticator.allows(request.method, authorization)

    async def _refuse(self, request: Request, code: int) -> None:
        headers = {}
        if code == 401:
            headers["WWW-Authenticate"] = self._mounts.authenticator.challenge()
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
        clip = mount.playback.described(time.monotonic())
        body = describe_without_video() if mount.faults.no_video else describe(clip)
        base = request.url.rstrip("/") + "/"
        headers = {"Content-Type": "application/sdp", "Content-Base": base}
        await self._answer(request, 200, headers, body)

    async def _setup(self, request: Request, mount: Mount) -> None:
        wanted = request.headers.get("transport", "")
        if self._outlet is not None:
            self._outlet.close()
        kind = "tcp" if "TCP" in wanted else "udp"
        if "multicast" in wanted or kind == mount.faults.refuse:
            await self._answer(request, 461, {})
        elif kind == "tcp":
            found = _CHANNEL.search(wanted)
            channel = int(found[1]) if found else 0
            self._outlet = TcpOutlet(self._wire, channel)
            agreed = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
            await self._agree(request, agreed)
        elif found := _PORTS.search(wanted):
            rtp, rtcp, port = await open_pair(self._wire.hosts, int(found[1]), int(found[2]))
            self._outlet = UdpOutlet(mount, self._rng, (rtp, rtcp))
            await self._agree(request, f"RTP/AVP;unicast;{found[0]};server_port={port}-{port + 1}")
        else:
            await self._answer(request, 461, {})

    async def _agree(self, request: Request, transport: str) -> None:
        agreed = f"{transport};ssrc={self._rtp.ssrc:08X}"
        headers = {"Session": f"{self._id};timeout=60", "Transport": agreed}
        await self._answer(request, 200, headers)

    async def _play(self, request: Request, mount: Mount) -> None:
        if self._outlet is None:
            await self._answer(request, 454, {})
            return
        now = time.monotonic()
        if mount.start is Start.CLIENT:
            mount.playback.play_unless_started(now)
        headers = {"Session": self._id, "Range": "npt=0.000-", "RTP-Info": self._info(request)}
        await self._answer(request, 200, headers)
        if self._playing is None:
            self._playing = asyncio.create_task(self._stream(mount, self._outlet))

    def _info(self, request: Request) -> str:
        url = f"{request.url.rstrip('/')}/{TRACK}"
        return f"url={url};seq={self._rtp.sequence}"

    async def _stream(self, mount: Mount, outlet: Outlet) -> None:
        mount.counts.playing += 1
        try:
            with contextlib.suppress(ConnectionError):
                await stream(mount, outlet, self._rtp, self._rng)
        finally:
            mount.counts.playing -= 1
            self._wire.close()

    async def _answer(
        self, request: Request, code: int, headers: dict[str, str], body: str = ""
    ) -> None:
        await self._wire.send(reply(code, request.sequence, headers, body))
