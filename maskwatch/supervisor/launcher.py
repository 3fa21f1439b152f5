"""Starts child processes, and serves what they need of the supervisor: network, log, channel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from maskwatch.clock import Clock
from maskwatch.ipc.messages import Configure
from maskwatch.supervisor.log_relay import LogRelay
from maskwatch.supervisor.network_broker import NetworkBroker
from maskwatch.supervisor.process import ChildProcess, Process, Spawn, start_program
from maskwatch.supervisor.zygote import Zygote

_log = logging.getLogger(__name__)


class ProcessLauncher:
    """Starts child processes and has the event loop read their channels.

    `zygote` forks the workers while it can; None to start each as a program of its own.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, spawn: Spawn, zygote: Zygote | None = None
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._spawn = spawn
        self._zygote = zygote
        self._brokers: dict[int, NetworkBroker] = {}
        self._logs: dict[int, LogRelay] = {}
        self._isolated = True

    @property
    def waits(self) -> bool:
        """Whether a worker would start earlier if it waited for the zygote."""
        return self._zygote is not None and self._zygote.starting

    def launch(
        self,
        module: str,
        configure: Configure,
        readable: Callable[[float], object],
        misbehaved: Callable[[str], object],
    ) -> ChildProcess:
        """Start a child; `readable` is called with the monotonic time when its channel has data.

        `misbehaved` is called with the reason if a worker does what its sandbox forbids.

        Raises:
            OSError: the system cannot start a process now.
        """
        process = self._spawn(module, configure, self._start)
        fd = process.channel.fileno()
        self._loop.add_reader(fd, lambda: readable(self._clock.monotonic()))
        if process.broker_socket is not None:
            self._report_isolation(process)
            (camera,) = configure.config.cameras
            self._brokers[process.pid] = NetworkBroker(
                process.pid,
                process.broker_socket,
                camera,
                configure.recorder,
                misbehaved,
                loop=self._loop,
                clock=self._clock,
            )
            if process.log is not None:
                self._logs[process.pid] = LogRelay(
                    process.log, camera.name, loop=self._loop, clock=self._clock
                )
        return process

    def _start(self, module: str, options: Mapping[str, int], log: int | None) -> Process:
        """Fork a worker from the zygote; start it as a program where that is not possible."""
        forked = self._zygote.fork(module, options, log) if self._zygote and log is not None else None
        return forked or start_program(module, options, log)

    def _report_isolation(self, process: ChildProcess) -> None:
        """Log once that a worker has no process namespace, and again after a worker had one."""
        if self._isolated and not process.isolated:
            _log.info("the system permits workers no process namespace of their own")
        self._isolated = process.isolated

    def stop_reading(self, process: ChildProcess) -> None:
        """Stop watching a channel, which must still be open; may be called twice."""
        self._loop.remove_reader(process.channel.fileno())

    def ended(self, process: ChildProcess) -> None:
        """Release what serves a process that has ended."""
        self.stop_reading(process)
        process.channel.close()
        for server in (self._brokers.pop(process.pid, None), self._logs.pop(process.pid, None)):
            if server is not None:
                server.close()
