"""The child processes: the recorder, and a worker for each camera."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from maskwatch.clock import Clock
from maskwatch.config.schema import Config
from maskwatch.domain import SinkStatus
from maskwatch.supervisor.child import ManagedChild, Phase
from maskwatch.supervisor.child_events import CurrentChildEvents
from maskwatch.supervisor.child_factory import ChildFactory
from maskwatch.supervisor.launcher import ProcessLauncher
from maskwatch.supervisor.timeouts import Timeouts

_log = logging.getLogger(__name__)


class ChildProcesses:
    """Holds the children, each with its part of the configuration. Used on the event loop's thread only.

    Attributes:
        config: what the children are configured by; `configure` changes it.
        recorder: the recorder.
        workers: by camera; those of disabled cameras are idle.
        events: what happens to the children.
        sinks: as the recorder reported them most recently.
    """

    def __init__(
        self, config: Config, launcher: ProcessLauncher, timeouts: Timeouts, clock: Clock
    ) -> None:
        self.config = config
        self.workers: dict[str, ManagedChild] = {}
        self.events = CurrentChildEvents(self.workers)
        self.sinks: tuple[SinkStatus, ...] = ()
        self._launcher = launcher
        self._factory = ChildFactory(launcher, timeouts)
        self.recorder = self._factory.recorder(config, self.events)
        self._timeouts = timeouts
        self._clock = clock
        self._removed: list[ManagedChild] = []
        self._last_tick = clock.monotonic()

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
    def has_removed(self) -> bool:
        """Whether a worker of a removed camera has not ended yet."""
        return bool(self._removed)

    @property
    def recorder_runs(self) -> bool:
        return self.recorder.phase is Phase.RUNNING

    @property
    def store_trouble(self) -> str:
        """Why the recorder cannot store now, "" if it can."""
        return self.recorder.heartbeat.reason if self.recorder.heartbeat else ""

    # --- configuration -----------------------------------------------------------------------------

    def configure(self, config: Config, held_sinks: tuple[str, ...]) -> None:
        """Set the configuration, and what the recorder is given; `held_sinks` lack something for now."""
        self.config = config
        self.recorder.configuration = self._factory.recorder_configuration(config, held_sinks)

    def configure_workers(self) -> None:
        """Have one worker for each configured camera, with its part of the configuration."""
        configured = {camera.name for camera in self.config.cameras}
        for name in [name for name in self.workers if name not in configured]:
            self._removed.append(self.workers.pop(name))
        for camera in self.config.cameras:
            worker = self.workers.get(camera.name)
            if worker is not None:
                worker.configuration = self._factory.worker_configuration(self.config, camera.name)
                continue
            worker = self._factory.worker(self.config, camera.name, self.events)
            self.workers[camera.name] = worker
            if not camera.enabled:
                worker.stop(self._clock.monotonic())  # reports it as disabled

    # --- the main loop -----------------------------------------------------------------------------

    def tick(self) -> None:
        """Start and kill what is due, and forget the workers of removed cameras that have ended."""
        now = self._clock.monotonic()
        self._extend_deadlines(now - self._last_tick - self._timeouts.tick)
        self._last_tick = now
        self._tick_children(now)
        for child in [child for child in self._removed if child.pid is None]:
            self._removed.remove(child)
            self.events.removed(child)

    def reap(self) -> None:
        now = self._clock.monotonic()
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
        """Tick every child, but hold a worker back while `max_starting` others are starting.

        While what forks workers is starting, all are held back.
        """
        if self._launcher.waits:
            starting = self._timeouts.max_starting
        else:
            starting = sum(worker.phase is Phase.STARTING for worker in self.workers.values())
        for child in sorted(self, key=lambda child: child.due):
            may_start = child.pid is None and child is not self.recorder
            if may_start and starting >= self._timeouts.max_starting:
                continue
            child.tick(now)
            starting += may_start and child.phase is Phase.STARTING

    # --- faults and the end ------------------------------------------------------------------------

    def report_misbehaviour(self, pid: int, reason: str) -> None:
        """Kill and replace the worker with this process id, or report the one that had it last."""
        workers = (child for child in self if child is not self.recorder)
        if not any(worker.report_misbehaviour(reason, pid) for worker in workers):
            _log.error("process %d, which is no worker, violated the protocol (%s)", pid, reason)

    def stop_workers(self) -> None:
        for worker in self.workers.values():
            worker.stop(self._clock.monotonic())

    def kill_all(self) -> None:
        for child in self:
            child.kill()
