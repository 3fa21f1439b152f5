"""The daemon's one metrics registry, as the supervisor uses it: children's counts and its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from maskwatch.clock import Clock
from maskwatch.config.schema import MetricsConfig
from maskwatch.domain import CameraStatus
from maskwatch.errors import MaskwatchError
from maskwatch.supervisor.child import ManagedChild
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.catalogue import Owner
from maskwatch.telemetry.collector import Collector
from maskwatch.telemetry.http import HealthStatus, MetricsServer
from maskwatch.telemetry.meter import MetricsSnapshot

__all__ = ["ProcessUsage", "SupervisorMetrics", "read_usage"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Resident memory in bytes, user and system time in seconds, open descriptors (None: unknown)."""

    resident: int
    cpu: float
    fds: int | None


def read_usage(pid: int) -> ProcessUsage | None:
    """Return what a process uses now; None if it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        resident = int((folder / "statm").read_text(encoding="ascii").split()[1]) * _PAGE
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, IndexError, ValueError):
        return None
    # The command's name, in brackets, may hold anything.
    fields = stat.rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    return ProcessUsage(resident, cpu, _descriptors(folder))


def _descriptors(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))  # noqa: PTH208 - only the number is wanted
    except OSError:
        return None


class SupervisorMetrics:
    """Counts, and serves what is counted. One thread: the supervisor's.

    Args:
        clock: for the time of the start and of reloads.
        healthy: answers /healthz; called from other threads.
        ready: answers /readyz; called from other threads.

    """

    def __init__(
        self, clock: Clock, *, healthy: Callable[[], HealthStatus], ready: Callable[[], HealthStatus]
    ) -> None:
        self._clock = clock
        self._healthy = healthy
        self._ready = ready
        self._collector = Collector()
        self._meter = self._collector.own
        self._server: MetricsServer | None = None
        self._served: MetricsConfig | None = None
        self._epochs: dict[str, int] = {}
        self._cpu: dict[str, float] = {}
        self._meter.set(catalogue.BUILD_INFO, 1.0, {"version": version("maskwatch")})
        self._meter.set(catalogue.START_TIME, clock.now().timestamp())
        self.reloaded(ok=True)

    # --- serving -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it is served, "" if it is not."""
        return self._server.url if self._server else ""

    def serve(self, config: MetricsConfig) -> None:
        """Serve as `config` says from now on.

        Raises:
            PortInUseError, ConfigError: it cannot be served there; what was served before goes on.

        """
        before, running = self._served, self._server
        same_port = running is not None and config.port == running.port
        if same_port:  # another address of it, say: both at once cannot be had
            self.stop()
        try:
            fresh = self._open(config) if config.enabled else None
        except MaskwatchError:
            if same_port and before is not None:
                self._server = self._open(before)
            raise
        self.stop()
        self._server, self._served = fresh, config

    def _open(self, config: MetricsConfig) -> MetricsServer:
        server = MetricsServer(
            config.host, config.port, self._collector, healthy=self._healthy, ready=self._ready
        )
        server.start()
        return server

    def stop(self) -> None:
        """Serve no longer."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def publish(self) -> None:
        """Let scrapes see the supervisor's own values as they stand."""
        self._collector.publish_own()

    # --- children ----------------------------------------------------------------------------------

    def began(self, keeper: ManagedChild) -> None:
        """A child's process was started: what it will count begins at zero."""
        key = _key(keeper)
        self._epochs[key] = self._epochs.get(key, 0) + 1
        self.counted(keeper, MetricsSnapshot())

    def counted(self, keeper: ManagedChild, snapshot: MetricsSnapshot) -> None:
        """A child sent what it has counted since its start."""
        key = _key(keeper)
        self._collector.update(
            key,
            process=keeper.kind.process,
            camera=keeper.kind.camera,
            epoch=self._epochs.get(key, 0),
            snapshot=snapshot,
        )

    def ended(self, keeper: ManagedChild, reason: str) -> None:
        """A child's process ended; `reason` is of RESTART_REASONS, or "" if nobody takes its place."""
        self._collector.ended(_key(keeper))
        self._cpu.pop(_key(keeper), None)
        for gauge in (catalogue.RESIDENT_MEMORY, catalogue.OPEN_FDS):
            self._meter.drop(gauge, _labels(keeper))
        if reason:
            self._meter.add(catalogue.RESTARTS, {**_labels(keeper), "reason": reason})

    def forget(self, keeper: ManagedChild) -> None:
        """A camera is configured no longer."""
        self._collector.forget(_key(keeper))
        self._meter.forget("camera", keeper.kind.camera)

    def measure(self, keeper: ManagedChild) -> ProcessUsage | None:
        """Read what a child uses, note it, and return it."""
        pid = keeper.pid
        vitals = None if pid is None else read_usage(pid)
        if vitals is not None:
            self._note(_key(keeper), _labels(keeper), vitals)
        return vitals

    def measure_self(self, pid: int) -> None:
        """The same for the supervisor."""
        vitals = read_usage(pid)
        if vitals is not None:
            self._note("", {"process": Owner.SUPERVISOR, "camera": ""}, vitals)

    def _note(self, key: str, labels: dict[str, str], vitals: ProcessUsage) -> None:
        self._meter.set(catalogue.RESIDENT_MEMORY, float(vitals.resident), labels)
        used = max(0.0, vitals.cpu - self._cpu.get(key, 0.0))
        self._cpu[key] = vitals.cpu
        self._meter.add(catalogue.CPU_SECONDS, labels, used)
        if vitals.fds is not None:
            self._meter.set(catalogue.OPEN_FDS, float(vitals.fds), labels)

    # --- cameras, commands, reloads ------------------------------------------------------------------

    def status(self, status: CameraStatus) -> None:
        """A camera's state changed."""
        labels = {"camera": status.camera}
        self._meter.set_state(catalogue.CAMERA_STATE, "state", status.state, labels)

    def frame(self, camera: str, at: float) -> None:
        """The newest processed frame of a camera was captured at this Unix time."""
        self._meter.set(catalogue.CAMERA_LAST_FRAME, at, {"camera": camera})

    def commanded(self, verb: str, *, ok: bool) -> None:
        """A command ended."""
        known = verb if verb in catalogue.COMMAND_VERBS else "other"
        self._meter.add(catalogue.COMMANDS, {"verb": known, "result": "ok" if ok else "refused"})

    def reloaded(self, *, ok: bool, count: bool = False) -> None:
        """The configuration was read; `count` if that was a reload."""
        if count:
            self._meter.add(catalogue.RELOADS, {"result": "ok" if ok else "refused"})
        self._meter.set(catalogue.RELOAD_OK, float(ok))
        if ok:
            self._meter.set(catalogue.RELOAD_TIME, self._clock.now().timestamp())


def _key(keeper: ManagedChild) -> str:
    return f"{keeper.kind.process}/{keeper.kind.camera}"


def _labels(keeper: ManagedChild) -> dict[str, str]:
    return {"process": keeper.kind.process, "camera": keeper.kind.camera}
