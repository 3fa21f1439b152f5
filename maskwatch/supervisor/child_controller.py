"""Decides which children run: by the configuration, by commands, and by what is available."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from maskwatch.clock import Clock
from maskwatch.config.diff import Difference
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.supervisor.child import Phase
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """A camera that a command disabled, until a monotonic time; when (UTC), and by whom."""

    until: float
    at: datetime
    by: str


class ChildController:
    """Starts, stops and restarts `children`.

    Attributes:
        switched_off: by camera, those that a command disabled.
    """

    def __init__(self, children: ChildProcesses, timeouts: Timeouts, clock: Clock) -> None:
        self.switched_off: dict[str, SwitchedOff] = {}
        self._children = children
        self._workers = children.workers
        self._timeouts = timeouts
        self._clock = clock
        self._held: Mapping[str, str] = {}
        self._held_sinks: tuple[str, ...] = ()
        self._sinks_changed = False
        self._workers_started = False

    # --- the start ---------------------------------------------------------------------------------

    def hold(self, cameras: Mapping[str, str], sinks: tuple[str, ...]) -> None:
        """Set which cameras, each with its reason, and which sinks lack something for now.

        Takes effect with the next `start_recorder`, `start_workers` or `apply`.
        """
        self._held = cameras
        self._sinks_changed = sinks != self._held_sinks
        self._held_sinks = sinks
        self._children.configure(self._children.config, sinks)

    def start_recorder(self) -> None:
        self._children.recorder.start(self._now)

    def start_workers(self, first: Collection[str] = ()) -> None:
        """Start the workers of all enabled cameras one by one, those of the cameras in `first` first."""
        self._workers_started = True
        self._children.configure_workers()
        enabled = [camera.name for camera in self._children.config.cameras if camera.enabled]
        self._start_staggered(sorted(enabled, key=lambda name: name not in first))

    # --- commands ----------------------------------------------------------------------------------

    def switch(self, name: str, *, on: bool, seconds: float = 0.0, by: str = "") -> str:
        """Start or stop a camera's worker; return "", or the reason why that is impossible.

        Off lasts for `seconds`, or with 0 until it is switched on or the daemon ends; `by` is who
        disabled it.
        """
        worker = self._workers.get(name)
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

    def tick(self) -> None:
        """Start the workers of cameras that were disabled for a while, which is over."""
        now = self._now
        for name in [name for name, off in self.switched_off.items() if now >= off.until]:
            del self.switched_off[name]
            if self._camera(name).enabled:
                self._start_staggered([name])

    # --- another configuration ---------------------------------------------------------------------

    def apply(self, difference: Difference, config: Config) -> None:
        """Change over to `config`; only the children that `difference` names are affected."""
        self._children.configure(config, self._held_sinks)
        recorder = self._children.recorder
        if difference.recorder or difference.log or self._sinks_changed:
            recorder.send(recorder.configuration)
        if not self._workers_started:
            return
        for name in difference.stop:
            self._workers[name].stop(self._now)
        self._children.configure_workers()
        self.switched_off = {n: off for n, off in self.switched_off.items() if n in self._workers}
        self._start_staggered([name for name in difference.start if name not in self.switched_off])
        for name in difference.restart:
            if name not in self.switched_off and name not in self._held:
                self._workers[name].renew(self._now, "config")
        if difference.log:
            for name in difference.keep:
                self._workers[name].send(self._workers[name].configuration)

    def settled(self, difference: Difference) -> bool:
        """Whether every child that `apply` affected has been started or has ended."""
        affected = (*difference.start, *difference.restart)
        phases = {self._workers[name].phase for name in affected if name in self._workers}
        return not phases & {Phase.WAITING, Phase.STOPPING} and not self._children.has_removed

    def _start_staggered(self, names: Sequence[str]) -> None:
        for turn, name in enumerate(names):
            if name in self._held:
                self._workers[name].hold(self._held[name])
            else:
                self._workers[name].start(self._now + turn * self._timeouts.stagger)

    def _camera(self, name: str) -> CameraConfig:
        return next(camera for camera in self._children.config.cameras if camera.name == name)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()
