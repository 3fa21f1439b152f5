"""The zygote: a process from which workers are forked (`maskwatch.worker.zygote`), and its replacement.

While there is none, workers are started as programs of their own: they need more memory and time, and do
all else alike.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

import msgspec

from maskwatch.clock import Clock
from maskwatch.ipc.fork_request import ISOLATED, MAX_BYTES, READY, ForkRequest
from maskwatch.supervisor.process import ModuleProcess, describe_exit, journal_of
from maskwatch.supervisor.process_usage import ProcessUsage
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts

_log = logging.getLogger(__name__)
_MODULE = "maskwatch.worker.zygote"
_CREDENTIALS = struct.Struct("3i")
_MAX_GROWTH = 64 << 20
_END_TIMEOUT_S = 1.0


class ForkedProcess:
    """A worker that the zygote has forked; a child of this process like any other.

    Attributes:
        isolated: whether it has a process namespace of its own.
    """

    def __init__(self, pid: int, *, isolated: bool) -> None:
        self.pid = pid
        self.isolated = isolated
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)


class _Run:
    """One zygote, from its start to its end.

    Attributes:
        code: the exit code of one that ended by itself, known after `kill`.

    Raises:
        OSError: the system cannot start a process now.
    """

    def __init__(self, module: str, started: float) -> None:
        self.socket, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.started = started
        self.ready = False
        self.resident = 0
        self.code: int | None = None
        with peer, ExitStack() as stack:
            stack.callback(self.socket.close)
            fd = peer.fileno()
            self.process = ModuleProcess(module, "--fd", str(fd), fds=(fd,), own_group=True)
            stack.pop_all()

    def kill(self) -> None:
        """Kill it, and what it has forked and not reported; may be called twice."""
        if self.process.returncode is not None:
            return
        if self.socket.fileno() >= 0 and _has_hung_up(self.socket):
            with suppress(subprocess.TimeoutExpired):
                self.code = self.process.wait(_END_TIMEOUT_S)
        self.process.kill()
        self.process.wait()
        self.process.poll()

    def fork(self, request: ForkRequest, fds: list[int], timeout: float) -> ForkedProcess | None:
        """Return the forked worker, None if there is none after `timeout` seconds: the zygote has ended.

        Raises:
            OSError: the zygote does not receive requests.
        """
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with near:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with far:
                message = msgspec.json.encode(request)
                socket.send_fds(self.socket, [message], [far.fileno(), *fds], socket.MSG_DONTWAIT)
            answer = _answer(near, timeout)
            if answer is not None:
                return answer
            self.kill()
            late = _answer(near, 0.0)  # sent before it could be killed as one of the zygote's group
            if late is not None:
                late.kill()
                os.waitpid(late.pid, 0)
            return None


def _has_hung_up(sock: socket.socket) -> bool:
    ended = select.poll()
    ended.register(sock, 0)
    return bool(ended.poll(0))


def _answer(report: socket.socket, timeout: float) -> ForkedProcess | None:
    """Return the worker that reports itself within `timeout` seconds."""
    if not select.select([report], [], [], timeout)[0]:
        return None
    data, ancillary, *_ = report.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
    if not data:
        return None
    pid, _, _ = _CREDENTIALS.unpack(ancillary[0][2])
    return ForkedProcess(pid, isolated=data == ISOLATED)


class Zygote:
    """Keeps a zygote running. Used on the event loop's thread only.

    Args:
        ended: called with the reason, of RESTART_REASONS, when a zygote has ended that was not stopped.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeouts: Timeouts,
        clock: Clock,
        ended: Callable[[str], object],
        module: str = _MODULE,
    ) -> None:
        self._loop = loop
        self._timeouts = timeouts
        self._clock = clock
        self._on_end = ended
        self._module = module
        self._policy = RestartPolicy(timeouts, random.Random())  # noqa: S311 - jitter is no secret
        self._run: _Run | None = None
        self._due = 0.0
        self._missed = False
        self._unfit = False

    @property
    def pid(self) -> int | None:
        return None if self._run is None else self._run.process.pid

    @property
    def ready(self) -> bool:
        return self._run is not None and self._run.ready

    @property
    def starting(self) -> bool:
        """Whether it soon can fork: a worker that waits for it starts earlier than a program would."""
        return self._run is not None and not self._run.ready

    def tick(self, *, wanted: bool) -> None:
        """Start it, or find out that it has ended; stop it where it is not `wanted`."""
        now = self._clock.monotonic()
        run = self._run
        if not wanted:
            self.stop()
        elif run is None:
            if now >= self._due and not self._unfit:
                self._launch(now)
        elif (code := run.process.poll()) is not None:
            self._ended(code)
        elif run.ready:
            self._policy.has_run(now - run.started)
        elif now >= run.started + self._timeouts.zygote_start:
            self._failed("took too long to start", "start_failed")

    def stop(self) -> None:
        """End it; the workers that it has forked live on."""
        if self._run is not None:
            self._release().kill()

    def fork(self, module: str, options: Mapping[str, int], log: int) -> ForkedProcess | None:
        """Return a forked worker that runs `module`; None if it must be started in another way.

        See `maskwatch.supervisor.process.Start`.
        """
        run = self._run
        if run is None or not run.ready:
            return None
        environment = journal_of(log)
        request = ForkRequest(module=module, options=tuple(options), environment=environment)
        forked = None
        with suppress(OSError):
            forked = run.fork(request, [log, *options.values()], self._timeouts.fork)
        if forked is None:
            run.kill()
            if run.code is None:
                self._failed("did not fork a worker", "hung")
            else:
                self._ended(run.code)
        return forked

    def measured(self, usage: ProcessUsage) -> None:
        """Replace it if it has grown: it is to hold what it held at its start."""
        run = self._run
        if run is None or not run.ready:
            return
        run.resident = run.resident or usage.resident
        grown = usage.resident - run.resident
        if grown > _MAX_GROWTH:
            _log.warning("the zygote has grown by %d MiB: replacing it", grown >> 20)
            self.stop()
            self._on_end("memory")
            self._launch(self._clock.monotonic())

    def _launch(self, now: float) -> None:
        try:
            self._run = run = _Run(self._module, now)
        except OSError as error:
            _log.error("the zygote cannot be started: %s", error)
            self._due = now + self._policy.postponed().seconds
            return
        self._loop.add_reader(run.socket, self._receive, run)
        _log.info("started the zygote", extra={"pid": run.process.pid})

    def _receive(self, run: _Run) -> None:
        """Take its first message; what follows is the end."""
        self._loop.remove_reader(run.socket)
        message = b""
        with suppress(ConnectionError):  # it has ended, as `tick` will find out
            message = run.socket.recv(MAX_BYTES)
        if message == READY:
            run.ready = True
            self._policy.started()
            if self._missed:
                self._missed = False
                _log.info("workers are forked from the zygote again")
        elif message:
            self._unfit = True
            _log.warning("each worker is a program of its own: %s", message[1:].decode())
            self.stop()

    def _ended(self, code: int) -> None:
        self._failed(describe_exit(code), "killed" if code < 0 else "exited")

    def _failed(self, cause: str, reason: str) -> None:
        now = self._clock.monotonic()
        run = self._release()
        run.kill()
        pause = self._policy.failed(now)
        self._due = now + pause.seconds
        self._on_end(reason if run.ready else "start_failed")
        if not self._missed:
            self._missed = True
            _log.warning("the zygote %s: until it is back, each worker is a program of its own", cause)

    def _release(self) -> _Run:
        assert self._run is not None  # the callers have one
        run, self._run = self._run, None
        self._loop.remove_reader(run.socket)
        run.socket.close()
        return run
