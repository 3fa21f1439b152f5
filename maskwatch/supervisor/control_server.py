"""The control socket: accepts the requests of `maskwatch status`, `reload` and commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import NoReturn

from maskwatch.errors import ConfigError, ControlError
from maskwatch.ipc.control import (
    Answer,
    Refused,
    Request,
    StatusRequest,
    decode_proof,
    decode_request,
    encode_line,
)
from maskwatch.ipc.control_token import (
    TOKEN_FILE,
    controlling_group,
    is_proof,
    new_challenge,
    new_token,
    write_token,
)
from maskwatch.ipc.peer_credentials import describe_process, has_more_filters, peer_of

_log = logging.getLogger(__name__)
_MAX_REQUEST = 64 * 1024
_TIMEOUT = 10.0
_MAX_CONNECTIONS = 32
_UNPROVEN = "this command cannot prove who sends it; use the maskwatch of the daemon's version"

Handler = Callable[[Request, str], Awaitable[Answer]]


class ControlServer:
    """Listens at `path`, and writes the token that clients need beside it.

    A compromised worker must not switch off other cameras, nor may what is left of one. So no child of
    the daemon is answered, no process that is sandboxed like one, and no client that does not prove to
    have the token. Root needs no proof where the daemon has another user.

    Args:
        handler: takes a request and who sent it, in words; returns the answer.
        children: returns the process ids of the daemon's children.
        misbehaved: takes the process id of a child that connected, and what it did.
    """

    def __init__(
        self,
        path: Path,
        handler: Handler,
        children: Callable[[], Collection[int]] = tuple,
        misbehaved: Callable[[int, str], object] = lambda _pid, _reason: None,
    ) -> None:
        self._path = path
        self._token_path = path.with_name(TOKEN_FILE)
        self._token = new_token()
        self._handler = handler
        self._children = children
        self._misbehaved = misbehaved
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # Those that wait for their client, oldest first.
        self._waiting: dict[asyncio.Task[None], int] = {}

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
            group = controlling_group(self._path.parent)
            write_token(self._token_path, self._token, group)
            self._path.chmod(0o600)
            if group is not None:
                os.chown(self._path, -1, group)
                self._path.chmod(0o660)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"runtime_dir: cannot listen at {self._path}: {error.strerror or error}"
            ) from error
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_MAX_REQUEST)

    async def stay_reachable(self) -> None:
        if self._server is None or (self._path.exists() and self._token_path.exists()):
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
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._path.unlink(missing_ok=True)
            self._token_path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio runs this as one
        self._tasks.add(task)
        try:
            pid, uid = peer_of(writer.get_extra_info("socket"))
            if self._may_connect(pid):
                with contextlib.suppress(OSError, TimeoutError):
                    await self._answer(reader, writer, pid, uid)
        finally:
            self._tasks.discard(task)
            self._waiting.pop(task, None)
            writer.close()

    def _may_connect(self, pid: int) -> bool:
        if pid in self._children():
            _log.error("refused a request on the control socket from the child process %d", pid)
            self._misbehaved(pid, "connected to the control socket")
            return False
        if len(self._tasks) > _MAX_CONNECTIONS:
            if not self._waiting:
                _log.error("refused a request on the control socket from %d: too many connections", pid)
                return False
            oldest = next(iter(self._waiting))
            _log.error(
                "closed the connection of %d to the control socket: too many, and it waits longest",
                self._waiting.pop(oldest),
            )
            oldest.cancel()
        return True

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int, uid: int
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio runs this as one
        self._waiting[task] = pid
        sender = await asyncio.to_thread(describe_process, pid, uid)
        try:
            line = await asyncio.wait_for(reader.readline(), _TIMEOUT)
            request = decode_request(line)
            if uid != 0 or os.geteuid() == 0:
                _require_no_sandbox(pid, sender)
                if not await self._has_proof(reader, writer, line):
                    _refuse(request, sender)
            self._waiting.pop(task, None)
            answer = await self._handler(request, sender)
        except ControlError as error:
            answer = Refused(reason=str(error))
        except ValueError:
            answer = Refused(reason=f"a request is at most {_MAX_REQUEST} bytes long")
        writer.write(encode_line(answer))
        await asyncio.wait_for(writer.drain(), _TIMEOUT)

    async def _has_proof(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> bool:
        """Challenge the client; return whether it proves that it can read the token."""
        challenge = new_challenge()
        writer.write(encode_line(Refused(reason=_UNPROVEN, challenge=challenge)))
        try:
            line = await asyncio.wait_for(reader.readline(), _TIMEOUT)
            return is_proof(decode_proof(line).mac, self._token, challenge, request)
        except (ControlError, ValueError, OSError, TimeoutError):
            return False


def _refuse(request: Request, sender: str) -> NoReturn:
    """Raise ControlError. Of status nothing is logged: this process asks for it to see any answer."""
    if not isinstance(request, StatusRequest):
        _log.error("refused a request on the control socket from %s: no valid proof", sender)
    raise ControlError("no valid proof that an operator asks")


def _require_no_sandbox(pid: int, sender: str) -> None:
    """Raise ControlError for a process that may be what is left of a worker."""
    if has_more_filters(pid):
        _log.error("refused a request on the control socket from %s: it is sandboxed", sender)
        raise ControlError(
            "this process is sandboxed more than the daemon, as only its workers are; run the command "
            "outside of that sandbox, or as root"
        )
