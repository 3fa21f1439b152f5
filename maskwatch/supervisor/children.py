"""All children: the recorder, and a worker for each camera."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from maskwatch.clock import Clock
from maskwatch.config.diff import Difference
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import SinkStatus
from maskwatch.ipc.messages import ToSupervisor
from maskwatch.supervisor.child import ChildEvents, ManagedChild, Phase
from maskwatch.supervisor.child_factory import ChildFactory
from maskwatch.supervisor.process import ProcessLauncher
from maskwatch.supervisor.timeouts import Timeouts

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """A camera that a command disabled, until a monotonic time; when (UTC), and by whom."""

    until: float
    at: datetime
    by: str


class ChildProcesses(ChildEvents):
    """Holds the children, and decides which of them are to run.

    Everything happens on the event loop's thread. Events of a camera's former worker are not passed
    on once the camera has another.

    Attributes:
        config: what is to run; `apply` changes it.
        recorder: the recorder.
        workers: by camera; those of disabled cameras are idle.
        switched_off: by camera, those that a command disabled.
    """

    def __init__(
        self, config: Config, launcher: ProcessLauncher, timeouts: Timeouts, clock: Clock
    ) -> None:
        self.config = config
        self.workers: dict[str, ManagedChild] = {}
        self._factory = ChildFactory(launcher, timeouts)
        self.recorder = self._factory.recorder(config, self)
        self._timeouts = timeouts
        self._clock = clock
        self._subscribers: list[ChildEvents] = []
        self._removed: list[ManagedChild] = []
        self.switched_off: dict[str, SwitchedOff] = {}
        self._held: Mapping[str, str] = {}
        self._sinks_changed = False
        self._workers_started = False
        self.sinks: tuple[SinkStatus, ...] = ()
        self._last_tick = clock.monotonic()

    def subscribe(self, subscriber: ChildEvents) -> None:
        self._subscribers.append(subscriber)

    # --- state -------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[ManagedChild]:
        """Yield every child: the recorder first, workers of removed cameras last."""
        yield self.recorder
        yield from self.workers.values()
        yield from self._removed

    @property
    def all_started(self) -> bool:
        """Whether the worker of every enabled camera was started, or cannot be."""
        return all(
            worker.was_started or worker.held or worker.phase in (Phase.IDLE, Phase.QUARANTINED)
            for worker in self.workers.values()
        )

    @property
    def workers_alive(self) -> bool:
        return any(worker.pid for worker in (*self.workers.values(), *self._removed))

    @property
    def recorder_runs(self) -> bool:
        return self.recorder.phase is Phase.RUNNING

    @property
    def store_trouble(self) -> str:
        """Why the recorder cannot store now, "" if it can."""
        return self.recorder.heartbeat.reason if self.recorder.heartbeat else ""

    # --- orders ------------------------------------------------------------------------------------

    def start_recorder(self) -> None:
        self.recorder.start(self._now)

    def hold(self, cameras: Mapping[str, str], sinks: tuple[str, ...]) -> None:
        """Set which cameras, each with its reason, and which sinks lack something for now.

        Takes effect with the next `start_recorder`, `start_workers` or `apply`.
        """
        self._held = cameras
        self._sinks_changed = sinks != self._factory.held_sinks
        self._factory.held_sinks = sinks
        self.recorder.configuration = self._factory.recorder_configuration(self.config)

    def start_workers(self, first: Collection[str] = ()) -> None:
        """Start the workers of all enabled cameras one by one, those of the cameras in `first` first."""
        self._workers_started = True
        self._add_workers()
        enabled = [camera.name for camera in self.config.cameras if camera.enabled]
        self._start_staggered(sorted(enabled, key=lambda name: name not in first))

    def stop_workers(self) -> None:
        for worker in self.workers.values():
            worker.stop(self._now)

    def kill_all(self) -> None:
        for child in self:
            child.kill()

    def switch(self, name: str, *, on: bool, seconds: float = 0.0, by: str = "") -> str:
        """Start or stop a camera's worker; return "", or the reason why that is impossible.

        Off lasts for `seconds`, or with 0 until it is switched on or the daemon ends; `by` is who
        disabled it.
        """
        worker = self.workers.get(name)
        if worker is None:
            return f"there is no camera {name!r}"
        if on and not self._camera(name).enabled:
            return f"{name} is disabled in the configuration"
        if on and name in self._held:
            return f"{name} {self._held[name]}"
        if on:
            self.switched_off.pop(name, None)
            worker.start(self._now)
        else:
            until = self._now + seconds if seconds else math.inf
            self.switched_off[name] = SwitchedOff(until, self._clock.now(), by)
            worker.stop(self._now)
        return ""

    def report_misbehaviour(self, pid: int, reason: str) -> None:
        """Kill and replace the worker with this process id, or report the one that had it last."""
        workers = (child for child in self if child is not self.recorder)
        if not any(worker.report_misbehaviour(reason, pid) for worker in workers):
            _log.error("process %d, which is no worker, violated the protocol (%s)", pid, reason)

    # --- another configuration ---------------------------------------------------------------------

    def apply(self, difference: Difference, config: Config) -> None:
        """Change over to `config`; only the children that `difference` names are affected."""
        self.config = config
        self.recorder.configuration = self._factory.recorder_configuration(config)
        if difference.recorder or difference.log or self._sinks_changed:
            self.recorder.send(self.recorder.configuration)
        if not self._workers_started:
            return
        for name in difference.stop:
            self.workers[name].stop(self._now)
        self._remove_workers()
        self._add_workers()
        self._start_staggered([name for name in difference.start if name not in self.switched_off])
        for name in difference.restart:
            if name not in self.switched_off and name not in self._held:
                self.workers[name].renew(self._now, "config")
        if difference.log:
            for name in difference.keep:
                self.workers[name].send(self.workers[name].configuration)

    def settled(self, difference: Difference) -> bool:
        """Whether every child that `apply` affected has been started or has ended."""
        affected = (*difference.start, *difference.restart)
        phases = {self.workers[name].phase for name in affected if name in self.workers}
        return not phases & {Phase.WAITING, Phase.STOPPING} and not self._removed

    def _remove_workers(self) -> None:
        configured = {camera.name for camera in self.config.cameras}
        for name in [name for name in self.workers if name not in configured]:
            self._removed.append(self.workers.pop(name))
            self.switched_off.pop(name, None)

    def _add_workers(self) -> None:
        """Make the workers of new cameras, and give the others their new configuration."""
        for camera in self.config.cameras:
            worker = self.workers.get(camera.name)
            if worker is not None:
                worker.configuration = self._factory.worker_configuration(self.config, camera.name)
                continue
            worker = self._factory.worker(self.config, camera.name, self)
            self.workers[camera.name] = worker
            if not camera.enabled:
                worker.stop(self._now)  # reports it as disabled

    def _start_staggered(self, names: Sequence[str]) -> None:
        for turn, name in enumerate(names):
            if name in self._held:
                self.workers[name].hold(self._held[name])
            else:
                self.workers[name].start(self._now + turn * self._timeouts.stagger)

    # --- the main loop -----------------------------------------------------------------------------

    def tick(self) -> None:
        now = self._now
        self._extend_deadlines(now - self._last_tick - self._timeouts.tick)
        self._last_tick = now
        for name in [name for name, off in self.switched_off.items() if now >= off.until]:
            del self.switched_off[name]
            if self._camera(name).enabled:
                self._start_staggered([name])
        self._tick_children(now)
        for child in [child for child in self._removed if child.pid is None]:
            self._removed.remove(child)
            self.removed(child)

    def reap(self) -> None:
        now = self._now
        for child in list(self):
            child.reap(now)

    def _extend_deadlines(self, delay: float) -> None:
        """Give the children more time if this process itself was delayed.

        On a machine that is suspended, or short of processor time, children stand still as this
        process does; killing them for it would make things worse.
        """
        if delay > self._timeouts.tick:
            for child in self:
                child.extend_deadlines(delay)

    def _tick_children(self, now: float) -> None:
        """Tick every child, but hold a worker back while `max_starting` others are starting."""
        starting = sum(worker.phase is Phase.STARTING for worker in self.workers.values())
        for child in sorted(self, key=lambda child: child.due):
            may_start = child.pid is None and child is not self.recorder
            if may_start and starting >= self._timeouts.max_starting:
                continue
            child.tick(now)
            starting += may_start and child.phase is Phase.STARTING

    # --- events of the children --------------------------------------------------------------------

    def started(self, child: ManagedChild) -> None:
        for subscriber in self._subscribers:
            subscriber.started(child)

    def received(self, child: ManagedChild, message: ToSupervisor) -> None:
        """Pass the event on, unless the camera has another worker now."""
        if not self._is_superseded(child):
            for subscriber in self._subscribers:
                subscriber.received(child, message)

    def changed(self, child: ManagedChild) -> None:
        """Pass the event on, unless the camera was removed."""
        if child is self.recorder or self.workers.get(child.kind.camera) is child:
            for subscriber in self._subscribers:
                subscriber.changed(child)

    def ended(self, child: ManagedChild, code: int, reason: str) -> None:
        """Pass the event on, unless the camera has another worker now."""
        if not self._is_superseded(child):
            for subscriber in self._subscribers:
                subscriber.ended(child, code, reason)

    def removed(self, child: ManagedChild) -> None:
        """Pass the event on, unless the camera was added again."""
        if child.kind.camera not in self.workers:
            for subscriber in self._subscribers:
                subscriber.removed(child)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    def _is_superseded(self, child: ManagedChild) -> bool:
        return self.workers.get(child.kind.camera, child) is not child

    def _camera(self, name: str) -> CameraConfig:
        return next(camera for camera in self.config.cameras if camera.name == name)
