"""The control socket: accepts the requests of `maskwatch status`, `reload` and commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from maskwatch.errors import ConfigError, ControlError
from maskwatch.ipc.control import Answer, Refused, Request, decode_request, encode_line
from maskwatch.ipc.peer_credentials import peer_of

_log = logging.getLogger(__name__)
_MAX_REQUEST = 64 * 1024
_TIMEOUT = 10.0

Handler = Callable[[Request], Awaitable[Answer]]


class ControlServer:
    """Listens at `path`, mode 0600; gives each request to `handler`.

    Only this user and root are answered, even if the file's mode was changed; and none of the
    daemon's children: a compromised worker must not switch off other cameras.

    `children` returns the process ids of the daemon's children.
    """

    def __init__(
        self, path: Path, handler: Handler, children: Callable[[], Collection[int]] = tuple
    ) -> None:
        self._path = path
        self._handler = handler
        self._children = children
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; a socket that an earlier run left is replaced.

        Raises:
            ConfigError: the socket cannot be made there; the cause may be temporary.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._path.unlink(missing_ok=True)
            # The supervisor's umask makes it 0600 from the first moment.
            listener.bind(str(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"runtime_dir: cannot listen at {self._path}: {error.strerror or error}"
            ) from error
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_MAX_REQUEST)

    async def stay_reachable(self) -> None:
        if self._server is None or self._path.exists():
            return
        _log.error("the socket %s was removed: listening again", self._path)
        former = self._server
        try:
            await self.start()
        except (ConfigError, OSError) as error:
            _log.error("%s", error)
        else:
            former.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio runs this as one
        self._tasks.add(task)
        try:
            if self._may_ask(writer.get_extra_info("socket")):
                with contextlib.suppress(OSError, TimeoutError):
                    await self._answer(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    def _may_ask(self, sock: socket.socket) -> bool:
        pid, uid = peer_of(sock)
        if pid in self._children():
            _log.error("refused a request on the control socket from the child process %d", pid)
            return False
        if uid not in (0, os.geteuid()):
            _log.error("refused a request on the control socket from the user %d", uid)
            return False
        return True

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), _TIMEOUT)
            answer = await self._handler(decode_request(line))
        except ControlError as error:
            answer = Refused(reason=str(error))
        except ValueError:
            answer = Refused(reason=f"a request is at most {_MAX_REQUEST} bytes long")
        writer.write(encode_line(answer))
        await asyncio.wait_for(writer.drain(), _TIMEOUT)
