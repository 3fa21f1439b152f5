"""The control socket: takes requests of `maskwatch status`, `reload` and commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Collection
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace

from maskwatch.clock import Clock
from maskwatch.errors import ConfigError, ControlError
from maskwatch.ipc.control import (
    Answer,
    CameraReport,
    ChildReport,
    CommandDone,
    Refused,
    ReloadDone,
    ReloadRequest,
    Request,
    RunCommand,
    StatusReport,
    StatusRequest,
    decode_request,
    encode_line,
)
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.child import ManagedChild
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.events import ChildEventRouter
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.reload import Reloader

__all__ = ["ControlHandler", "ControlServer"]


class ControlHandler:
    """Knows everybody who can answer. `given` says whether every camera has its worker."""

    def __init__(
        self,
        family: ChildProcesses,
        switchboard: ChildEventRouter,
        reloader: Reloader,
        telemetry: SupervisorMetrics,
        clock: Clock,
        given: Callable[[], bool],
    ) -> None:
        self._family = family
        self._switchboard = switchboard
        self._reloader = reloader
        self._telemetry = telemetry
        self._clock = clock
        self._given = given
        self._started = clock.now()

    async def answer(self, request: Request) -> Answer:
        """Return the answer to a request."""
        match request:
            case StatusRequest():
                return self.status()
            case ReloadRequest():
                return await self._reload(request)
            case RunCommand():
                return await self._run(request)

    def status(self) -> StatusReport:
        """Return how everything is."""
        return StatusReport(
            version=version("maskwatch"),
            node=self._family.config.node,
            pid=os.getpid(),
            started=self._started,
            config=str(self._reloader.path),
            ready=self._given(),
            problem=self._reloader.problem,
            metrics=self._telemetry.url,
            recorder=self._recorder(),
            cameras=tuple(self._camera(keeper) for keeper in self._family.workers.values()),
            incidents=self._switchboard.incidents.open,
        )

    def _camera(self, keeper: ManagedChild) -> CameraReport:
        status, beat = self._switchboard.board[keeper.kind.camera], keeper.beat
        snooze = self._switchboard.snoozes.get(status.camera)
        return CameraReport(
            name=status.camera,
            state=status.state,
            reason=status.reason,
            since=status.since,
            frames=beat.frames if beat else 0,
            last_frame=beat.last_frame if beat else None,
            attempt=beat.attempt if beat else keeper.attempt,
            worker=_child(keeper),
            snoozed_until=snooze.until if snooze else None,
        )

    def _recorder(self) -> ChildReport:
        report, trouble = _child(self._family.recorder), self._family.store_trouble
        return replace(report, detail=f"cannot store now: {trouble}") if trouble else report

    async def _reload(self, request: ReloadRequest) -> ReloadDone:
        return await self._reloader.reload(wait=request.wait)

    async def _run(self, request: RunCommand) -> CommandDone:
        answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        command = Command(
            id=f"cli-{uuid4()}",
            verb=request.verb,
            target=request.target,
            seconds=request.seconds,
            origin="cli",
        )

        def reply(result: CommandResult) -> None:
            if not answer.done():
                answer.set_result(result)

        self._switchboard.router.run(command, reply, self._clock.monotonic())
        result = await answer
        return CommandDone(ok=result.ok, detail=result.detail)


def _child(keeper: ManagedChild) -> ChildReport:
    return ChildReport(phase=keeper.phase, pid=keeper.pid, restarts=keeper.restarts, detail=keeper.why)


_log = logging.getLogger(__name__)
_CREDENTIALS = struct.Struct("3i")
_MAX_REQUEST = 64 * 1024
_PATIENCE = 10.0

Handler = Callable[[Request], Awaitable[Answer]]


class ControlServer:
    """Listens at `path`, mode 0600; gives each request to `handler`.

    Only this user and root are answered, whatever became of the file's mode; and no child of ours, which
    has its own line: a worker that was taken over must not switch off other cameras.

    Args:
        path: of the socket.
        handler: answers requests.
        children: the ids of our own child processes now.

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
        """Listen; a socket left by a former run is replaced.

        Raises:
            ConfigError: the socket cannot be made there.

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
            ) from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_MAX_REQUEST)

    async def stay_reachable(self) -> None:
        """Listen anew if somebody removed the socket."""
        if self._server is None or self._path.exists():
            return
        _log.error("the socket %s was removed: listening anew", self._path)
        former = self._server
        try:
            await self.start()
        except ConfigError as error:
            _log.error("%s", error)
        else:
            former.close()

    async def stop(self) -> None:
        """Listen no more, and take the socket away."""
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
            with contextlib.suppress(OSError, TimeoutError):
                await self._answer(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, uid = _peer(writer.get_extra_info("socket"))
        if uid not in (0, os.geteuid()) or pid in self._children():
            who = f"our own child {pid}" if pid in self._children() else "another user"
            _log.error("%s asked on the control socket, and was refused", who)
            return
        try:
            line = await asyncio.wait_for(reader.readline(), _PATIENCE)
            answer = await self._handler(decode_request(line))
        except ControlError as error:
            answer = Refused(reason=str(error))
        except ValueError:
            answer = Refused(reason=f"a request is at most {_MAX_REQUEST} bytes long")
        writer.write(encode_line(answer))
        await asyncio.wait_for(writer.drain(), _PATIENCE)


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid
