"""An RTSP camera, or a building full of them, in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote, unquote

from maskwatch.lab.rtsp.auth import Authenticator, AuthScheme
from maskwatch.lab.rtsp.clip import Clip
from maskwatch.lab.rtsp.faults import Faults
from maskwatch.lab.rtsp.mount import Counts, Mount, Start
from maskwatch.lab.rtsp.playback import Playback
from maskwatch.lab.rtsp.session import Session
from maskwatch.lab.rtsp.still import first_still, last_still

__all__ = ["RtspServer", "Started"]

_T = TypeVar("_T")
_ROUNDS = 3  # of the loop, in which transports closed just now give back their sockets
_PLAIN = "/?=&"  # stay as they are in a path


@dataclass(frozen=True, slots=True)
class Started:
    """When the first frame of a clip was due: what its ground truth is counted from."""

    monotonic: float
    """Seconds of `time.monotonic()`."""
    wall: datetime
    """The same moment in UTC."""


class RtspServer:
    """Serves recorded clips as live cameras over TCP and UDP, with faults on demand.

    Use it as a context manager; every method may be called from any thread while it runs.
    `users` maps names to passwords (empty: no login). With `tls`, URLs are rtsps.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        users: Mapping[str, str] | None = None,
        auth: AuthScheme | str = AuthScheme.DIGEST,
        tls: ssl.SSLContext | None = None,
        seed: int = 0,
    ) -> None:
        self.authenticator = Authenticator(users or {}, AuthScheme(auth))
        self.host = host
        self.port = port
        self._tls = tls
        self._rng = random.Random(seed)
        self._mounts: dict[str, Mount] = {}
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rtsp", daemon=True)
        self._listener: asyncio.Server | None = None
        self._closing = threading.Lock()

    def start(self) -> None:
        """Listen; raises OSError if the port is taken."""
        self._thread.start()
        try:
            self.online()
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Send every client away and stop; may be called twice."""
        with self._closing:
            if not self._loop.is_closed():
                self.offline()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    # -- cameras ---------------------------------------------------------------------------

    def add(
        self,
        name: str,
        path: str | Path,
        *,
        loop: bool = True,
        start: Start | str = Start.CLIENT,
        hold_last: bool = False,
    ) -> Faults:
        """Serve a file under a name; returns its faults. Raises SourceError.

        A clip that does not loop ends by closing its connections, and answers 404 from then
        on, unless `hold_last` keeps its last frame in view for ever.
        """
        start = Start(start)
        clip = Clip.load(path)
        playback = Playback(
            clip,
            loop=loop,
            epoch=time.monotonic(),
            before=first_still(path, clip) if start is Start.MANUAL else None,
            after=last_still(path, clip) if hold_last and not loop else None,
        )
        if start is Start.NOW:
            playback.play(time.monotonic())
        mount = Mount(name.strip("/"), playback, start)
        self._mounts[mount.name] = mount
        return mount.faults

    def url(self, name: str, *, user: str | None = None, password: str | None = None) -> str:
        """Where a client finds a camera, with the given or else the first user's login."""
        users = self.authenticator.users
        user = next(iter(users), None) if user is None else user
        login = ""
        if user is not None:
            secret = users.get(user, "") if password is None else password
            login = f"{quote(user, safe='')}:{quote(secret, safe='')}@"
        scheme = "rtsps" if self._tls else "rtsp"
        return f"{scheme}://{login}{self.host}:{self.port}/{quote(name.strip('/'), safe=_PLAIN)}"

    def faults(self, name: str) -> Faults:
        """The faults of a camera, to be changed at any time."""
        return self._mounts[name].faults

    def counts(self, name: str) -> Counts:
        """What happened on a camera so far."""
        return self._mounts[name].counts

    def clip(self, name: str) -> Clip:
        """The clip of a camera."""
        return self._mounts[name].playback.clip

    def find(self, path: str) -> Mount | None:
        """The mount of a request's path, which may go on with a track's name."""
        path = unquote(path)
        names = (path, path.rpartition("/")[0], path.partition("?")[0])
        return next((self._mounts[name] for name in names if name in self._mounts), None)

    # -- time ------------------------------------------------------------------------------

    def play(self, name: str, *, after: float = 0.0) -> Started:
        """Begin a clip (again) from its first frame, `after` seconds from now."""
        self._mounts[name].playback.play(time.monotonic() + after)
        started = self.started(name)
        assert started is not None  # play() has just set it
        return started

    def started(self, name: str) -> Started | None:
        """When a clip began, or will begin; None if it still waits for that."""
        began = self._mounts[name].playback.started
        if began is None:
            return None
        ago = timedelta(seconds=time.monotonic() - began)
        return Started(began, datetime.now(UTC) - ago)

    def wait_started(self, name: str, timeout: float) -> Started:
        """Wait until a clip has begun; raises TimeoutError."""
        self._wait(lambda: self.started(name) is not None, timeout, f"{name} has not begun")
        started = self.started(name)
        assert started is not None  # just waited for
        return started

    def wait_playing(self, name: str, timeout: float, clients: int = 1) -> None:
        """Wait until that many clients play; raises TimeoutError."""
        counts = self.counts(name)
        self._wait(lambda: counts.playing >= clients, timeout, f"{name} has too few clients")

    @staticmethod
    def _wait(condition: Callable[[], bool], timeout: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{complaint} after {timeout:g} s")
            time.sleep(0.005)

    # -- trouble ---------------------------------------------------------------------------

    def switch(self, name: str, path: str | Path) -> None:
        """Go on with another clip in mid-stream, whatever its size and codec. Raises SourceError."""
        self._mounts[name].playback.switch(Clip.load(path), time.monotonic())

    def set_users(self, users: Mapping[str, str]) -> None:
        """Change the logins; who plays already goes on, as with a real camera."""
        self.authenticator.users = dict(users)

    def disconnect(self, name: str | None = None) -> None:
        """Close the connections of one camera, or all; new ones are welcome."""
        self._call(self._disconnect(name))

    def offline(self) -> None:
        """Stop listening and close every connection: the next client is refused."""
        self._call(self._offline())

    def online(self) -> None:
        """Listen again, on the same port as before. Raises OSError."""
        self._call(self._online())

    # -- in the loop's thread --------------------------------------------------------------

    def _call(self, work: Coroutine[object, object, _T]) -> _T:
        future: Future[_T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    async def _online(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._accept, self.host, self.port, ssl=self._tls
            )
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _offline(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._disconnect(None)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    async def _disconnect(self, name: str | None) -> None:
        tasks = [
            task
            for session, task in self._sessions.items()
            if name is None or (session.mount is not None and session.mount.name == name)
        ]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer, self._rng)
        task = asyncio.ensure_future(session.run())
        self._sessions[session] = task
        task.add_done_callback(lambda _: self._sessions.pop(session, None))
        with contextlib.suppress(asyncio.CancelledError):
            await task
