"""An RTSP server with one or more cameras, in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote, unquote

from maskwatch.lab.rtsp.auth import Authenticator, AuthScheme
from maskwatch.lab.rtsp.clip import Clip, first_still, last_still
from maskwatch.lab.rtsp.faults import Faults
from maskwatch.lab.rtsp.playback import Counts, Mount, Playback, Start
from maskwatch.lab.rtsp.session import Session

_T = TypeVar("_T")
_ITERATIONS = 3  # of the loop, in which closed transports release their sockets
_UNQUOTED = "/?=&"  # characters of a path


@dataclass(frozen=True, slots=True)
class Started:
    """When the first frame of a clip was due: time zero of its ground truth."""

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
        """Start to listen. Raises OSError if the port is in use."""
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
        """Close every connection and stop; may be called twice."""
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
        path: str | Path | Clip,
        *,
        loop: bool = True,
        start: Start | str = Start.CLIENT,
        hold_last: bool = False,
        stretch: float = 1.0,
    ) -> Faults:
        """Serve a file or a clip under a name; return its faults. Raises SourceError.

        At the end of a clip that does not loop, connections are closed and requests are answered
        with 404, unless `hold_last` repeats its last frame. `stretch` is how many times longer than
        in the file everything takes.
        """
        start = Start(start)
        clip = path if isinstance(path, Clip) else Clip.load(path)
        clip = clip.stretched(stretch)
        before = after = None
        if not isinstance(path, Clip):
            before = first_still(path, clip) if start is Start.MANUAL else None
            after = last_still(path, clip) if hold_last and not loop else None
        playback = Playback(clip, loop=loop, epoch=time.monotonic(), before=before, after=after)
        if start is Start.NOW:
            playback.play(time.monotonic())
        mount = Mount(name.strip("/"), playback, start)
        self._mounts[mount.name] = mount
        return mount.faults

    def url(self, name: str, *, user: str | None = None, password: str | None = None) -> str:
        """Return the URL of a camera, with the login given here or otherwise the first user's."""
        users = self.authenticator.users
        user = next(iter(users), None) if user is None else user
        login = ""
        if user is not None:
            secret = users.get(user, "") if password is None else password
            login = f"{quote(user, safe='')}:{quote(secret, safe='')}@"
        scheme = "rtsps" if self._tls else "rtsp"
        return f"{scheme}://{login}{self.host}:{self.port}/{quote(name.strip('/'), safe=_UNQUOTED)}"

    def faults(self, name: str) -> Faults:
        """Return the faults of a camera, which may be changed at any time."""
        return self._mounts[name].faults

    def counts(self, name: str) -> Counts:
        """Return what clients requested and received on a camera so far."""
        return self._mounts[name].counts

    def clip(self, name: str) -> Clip:
        """Return the clip of a camera."""
        return self._mounts[name].playback.clip

    def find(self, path: str) -> Mount | None:
        """Return the mount of a request's path, which may end with a track's name."""
        path = unquote(path)
        names = (path, path.rpartition("/")[0], path.partition("?")[0])
        return next((self._mounts[name] for name in names if name in self._mounts), None)

    # -- time ------------------------------------------------------------------------------

    def play(self, name: str, *, after: float = 0.0) -> Started:
        """Play a clip from its first frame, `after` seconds from now; return when that is."""
        self._mounts[name].playback.play(time.monotonic() + after)
        started = self.started(name)
        assert started is not None  # play() has just set it
        return started

    def started(self, name: str) -> Started | None:
        """Return when a clip started, or will start; None if it still waits."""
        started = self._mounts[name].playback.started
        if started is None:
            return None
        ago = timedelta(seconds=time.monotonic() - started)
        return Started(started, datetime.now(UTC) - ago)

    # -- faults ----------------------------------------------------------------------------

    def switch(self, name: str, path: str | Path) -> None:
        """Continue with another clip, of any size and codec, mid-stream. Raises SourceError."""
        self._mounts[name].playback.switch(Clip.load(path), time.monotonic())

    def set_users(self, users: Mapping[str, str]) -> None:
        """Replace the logins; clients that play continue, as with a real camera."""
        self.authenticator.users = dict(users)

    def disconnect(self, name: str | None = None) -> None:
        """Close the connections of one camera, or of all; new ones are accepted."""
        self._call(self._disconnect(name))

    def offline(self) -> None:
        """Stop listening and close every connection: new connections are refused."""
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
        for _ in range(_ITERATIONS):
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
