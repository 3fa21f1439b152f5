"""All the children: the recorder, and a worker for each enabled camera."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import secrets
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

from maskwatch.clock import Clock
from maskwatch.config.codec import for_recorder, for_worker
from maskwatch.config.diff import Difference
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.ipc.messages import Configure, ToSupervisor
from maskwatch.ipc.worker_tokens import worker_token
from maskwatch.secrets import Secret
from maskwatch.supervisor.child import ChildKind, ManagedChild, Phase
from maskwatch.supervisor.process import Spawn, spawn
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.catalogue import Owner

__all__ = ["RECORDER_SOCKET", "ChildEvents", "ChildProcesses"]

_log = logging.getLogger(__name__)

RECORDER_SOCKET = "recorder.sock"


class ChildEvents(Protocol):
    """What the supervisor wants to know of its children. Nothing here may block."""

    def began(self, keeper: ManagedChild) -> None:
        """A process was started."""
        ...

    def heard(self, keeper: ManagedChild, message: ToSupervisor) -> None:
        """A child said something that is not about its own health."""
        ...

    def changed(self, keeper: ManagedChild) -> None:
        """A keeper's phase changed, or a heartbeat came."""
        ...

    def ended(self, keeper: ManagedChild, code: int, reason: str) -> None:
        """A process ended."""
        ...

    def gone(self, keeper: ManagedChild) -> None:
        """A camera that is configured no longer has no process any more."""
        ...


class ChildProcesses:
    """Makes and holds the keepers. Everything happens on the event loop's thread.

    Args:
        config: what is to run; `apply` changes it.
        events: who is told.
        loop: watches the children's channels.
        clock: for all deadlines.
        limits: how long to wait for what.
        start_child: starts a process; tests give their own.

    """

    def __init__(
        self,
        config: Config,
        events: ChildEvents,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Clock,
        limits: Timeouts,
        start_child: Spawn = spawn,
    ) -> None:
        self.config = config
        self.limits = limits
        self.workers: dict[str, ManagedChild] = {}
        self._events = events
        self._loop = loop
        self._clock = clock
        self._spawn = start_child
        self._key = Secret(secrets.token_hex(32))
        self._rng = random.Random()  # noqa: S311 - jitter is no secret
        self._watched: dict[ManagedChild, int] = {}
        self._started = False
        self._ticked = clock.monotonic()
        self._off_by_command: dict[str, float] = {}
        self._leaving: list[ManagedChild] = []
        self.recorder = self._keeper(ChildKind("maskwatch.recorder", Owner.RECORDER))

    # --- who there is ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[ManagedChild]:
        """Give every keeper, the recorder's first, those of removed cameras last."""
        yield self.recorder
        yield from self.workers.values()
        yield from self._leaving

    @property
    def all_given(self) -> bool:
        """Whether every camera has been given its worker."""
        return all(
            keeper.ever_started or keeper.phase in (Phase.IDLE, Phase.QUARANTINED)
            for keeper in self.workers.values()
        )

    @property
    def workers_alive(self) -> bool:
        """Whether any worker's process still runs."""
        return any(keeper.pid for keeper in (*self.workers.values(), *self._leaving))

    @property
    def store_trouble(self) -> str:
        """Why the recorder cannot store now, "" if it can."""
        return self.recorder.beat.reason if self.recorder.beat else ""

    def camera(self, name: str) -> CameraConfig:
        """Return a camera's configuration; raises KeyError."""
        return next((c for c in self.config.cameras if c.name == name), None) or _missing(name)

    # --- what they are told ------------------------------------------------------------------------

    def start_recorder(self) -> None:
        """Start the recorder."""
        self.recorder.start(self._now)

    def start_workers(self, first: Collection[str] = ()) -> None:
        """Give every enabled camera its worker, one after the other, those named `first` before all."""
        self._started = True
        for camera in self.config.cameras:
            self._adopt(camera.name)
        wanted = [camera.name for camera in self.config.cameras if camera.enabled]
        self._start_staggered(sorted(wanted, key=lambda name: name not in first))

    def stop_workers(self) -> None:
        """Have every worker end in order."""
        for keeper in self.workers.values():
            keeper.stop(self._now)

    def switch(self, name: str, *, on: bool, seconds: float = 0.0) -> str:
        """Watch a camera or not; return "" or why it cannot be.

        Off lasts for `seconds`, or with 0 until it is switched on or the daemon ends.
        """
        keeper = self.workers.get(name)
        if keeper is None:
            return f"there is no camera {name!r}"
        if on and not self.camera(name).enabled:
            return f"{name} is disabled in the configuration"
        if on:
            self._off_by_command.pop(name, None)
            keeper.start(self._now)
        else:
            self._off_by_command[name] = self._now + seconds if seconds else math.inf
            keeper.stop(self._now)
        return ""

    def apply(self, difference: Difference, config: Config) -> None:
        """Go over to `config`, touching only what `difference` names."""
        self.config = config
        if not self._started:
            return
        names = {camera.name for camera in config.cameras}
        for name in difference.stop:
            self.workers[name].stop(self._now)
        for name in [name for name in self.workers if name not in names]:
            self._leaving.append(self.workers.pop(name))
            self._off_by_command.pop(name, None)
        for name in names:
            self._adopt(name)
        wanted = [name for name in difference.start if name not in self._off_by_command]
        self._start_staggered(wanted)
        for name in difference.restart:
            if name not in self._off_by_command:
                self.workers[name].renew(self._now, "config")
        if difference.recorder or difference.log:
            self.recorder.send(self.configuration(self.recorder))
        if difference.log:
            for name in difference.keep:
                self.workers[name].send(self.configuration(self.workers[name]))

    def settled(self, difference: Difference) -> bool:
        """Whether all that `apply` began is done."""
        begun = [
            self.workers[name]
            for name in (*difference.start, *difference.restart)
            if name in self.workers
        ]
        waiting = (Phase.WAITING, Phase.STOPPING)
        return not any(keeper.phase in waiting for keeper in begun) and not self._leaving

    def distrust(self, pid: int, why: str) -> None:
        """End and replace the worker that is this process: it breaks the rules."""
        for keeper in self:
            if keeper.kind.camera and keeper.pid == pid:
                keeper.distrust(why)

    # --- what happens ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let every keeper do what is due."""
        now = self._now
        self._excuse_for(now - self._ticked - self.limits.tick)
        self._ticked = now
        for name in [name for name, until in self._off_by_command.items() if now >= until]:
            del self._off_by_command[name]
            if self.camera(name).enabled:
                self.workers[name].start(now)
        self._tick_keepers(now)
        for keeper in [keeper for keeper in self._leaving if keeper.pid is None]:
            self._leaving.remove(keeper)
            self._events.gone(keeper)

    def _tick_keepers(self, now: float) -> None:
        """Let no more than `at_once` workers be starting: to start takes processor time from all."""
        starting = sum(keeper.phase is Phase.STARTING for keeper in self.workers.values())
        for keeper in sorted(self, key=lambda keeper: keeper.due):
            waits = keeper.pid is None and keeper is not self.recorder
            if waits and starting >= self.limits.at_once:
                continue
            keeper.tick(now)
            starting += waits and keeper.phase is Phase.STARTING

    def reap(self) -> None:
        """Notice the children that ended."""
        now = self._now
        for keeper in list(self):
            keeper.reap(now)

    def kill(self) -> None:
        """End all that still runs, at once, and reap it."""
        for keeper in list(self):
            keeper.abandon()

    # --- what the keepers need (KeeperOwner) -----------------------------------------------------------

    def configuration(self, keeper: ManagedChild) -> Configure:
        """Return what a child may know, and where it stands."""
        socket = str(Path(self.config.runtime_dir) / RECORDER_SOCKET)
        if keeper is self.recorder:
            return Configure(config=for_recorder(self.config), recorder=socket, token=self._key)
        camera = keeper.kind.camera
        return Configure(
            config=for_worker(self.config, camera),
            recorder=socket,
            camera=camera,
            attempt=keeper.attempt,
            token=worker_token(self._key, camera),
        )

    def watch(self, keeper: ManagedChild) -> None:
        """Have the loop listen to a child that has just been started."""
        self._watched[keeper] = keeper.fileno()
        self._loop.add_reader(keeper.fileno(), self._receive, keeper)
        self._events.began(keeper)

    def unwatch(self, keeper: ManagedChild) -> None:
        """Listen no more."""
        fd = self._watched.pop(keeper, None)
        if fd is not None:
            self._loop.remove_reader(fd)

    def heard(self, keeper: ManagedChild, message: ToSupervisor) -> None:
        """Pass on."""
        self._events.heard(keeper, message)

    def changed(self, keeper: ManagedChild) -> None:
        """Pass on."""
        self._events.changed(keeper)

    def ended(self, keeper: ManagedChild, code: int, reason: str) -> None:
        """Pass on."""
        self._events.ended(keeper, code, reason)

    # --- inside ------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    def _receive(self, keeper: ManagedChild) -> None:
        keeper.receive(self._now)

    def _excuse_for(self, lag: float) -> None:
        """Hold it against no child that this process came too late to hear it.

        On a machine that is stopped, or starved of processor time, the children stand still as we
        do; to kill them for it would make things worse.
        """
        if lag > self.limits.tick:
            for keeper in self:
                keeper.excuse(lag)

    def _start_staggered(self, names: list[str]) -> None:
        for turn, name in enumerate(names):
            self.workers[name].start(self._now + turn * self.limits.stagger)

    def _adopt(self, name: str) -> None:
        """Have a keeper for a camera; one of a disabled camera tells the world that it is idle."""
        if name not in self.workers:
            kind = ChildKind("maskwatch.worker", Owner.WORKER, name)
            self.workers[name] = self._keeper(kind, self._standstill_of(name))
            if not self.camera(name).enabled:
                self.workers[name].stop(self._now)

    def _standstill_of(self, name: str) -> Callable[[], float]:
        return lambda: self.camera(name).stall_timeout + self.limits.standstill

    def _keeper(
        self, kind: ChildKind, standstill: Callable[[], float | None] = lambda: None
    ) -> ManagedChild:
        policy = RestartPolicy(self.limits, self._rng)
        return ManagedChild(kind, self, self.limits, policy, self._spawn, standstill=standstill)


def _missing(name: str) -> CameraConfig:
    raise KeyError(name)
