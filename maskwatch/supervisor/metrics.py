"""The daemon's one metrics registry: the children's values, and the supervisor's own."""

from __future__ import annotations

from importlib.metadata import version

from maskwatch.clock import Clock
from maskwatch.domain import CameraStatus
from maskwatch.supervisor.child import ChildEvents, ManagedChild
from maskwatch.supervisor.process_usage import ProcessUsage
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.catalogue import Owner
from maskwatch.telemetry.collector import Collector
from maskwatch.telemetry.meter import MetricsSnapshot

_ZYGOTE_LABELS = {"process": catalogue.ZYGOTE, "camera": ""}


class SupervisorMetrics(ChildEvents):
    """Counts what the supervisor sees; used by its main thread only."""

    def __init__(self, clock: Clock) -> None:
        self.collector = Collector()
        self._clock = clock
        self._meter = self.collector.own
        self._epochs: dict[str, int] = {}
        self._cpu: dict[str, float] = {}
        self._meter.set(catalogue.BUILD_INFO, 1.0, {"version": version("maskwatch")})
        self._meter.set(catalogue.START_TIME, clock.now().timestamp())
        self.configuration_loaded()

    def publish(self) -> None:
        """Make the supervisor's own values visible to scrapes."""
        self.collector.publish_own()

    # --- children ----------------------------------------------------------------------------------

    def started(self, child: ManagedChild) -> None:
        """Begin a new epoch: the new process counts from zero."""
        key = _key(child)
        self._epochs[key] = self._epochs.get(key, 0) + 1
        self.snapshot_received(child, MetricsSnapshot())

    def ended(self, child: ManagedChild, code: int, reason: str) -> None:  # noqa: ARG002 - the base's
        """Count a restart by its reason, and drop the gauges of the process."""
        self.collector.ended(_key(child))
        self._cpu.pop(_key(child), None)
        self._process_ended(_labels(child), reason)

    def _process_ended(self, labels: dict[str, str], reason: str) -> None:
        for gauge in (catalogue.RESIDENT_MEMORY, catalogue.OPEN_FDS):
            self._meter.drop(gauge, labels)
        if reason:
            self._meter.add(catalogue.RESTARTS, {**labels, "reason": reason})

    def removed(self, child: ManagedChild) -> None:
        self.collector.forget(_key(child))
        self._meter.forget("camera", child.kind.camera)

    def snapshot_received(self, child: ManagedChild, snapshot: MetricsSnapshot) -> None:
        """Take over what a child has counted since its start."""
        key = _key(child)
        self.collector.update(
            key,
            process=child.kind.process,
            camera=child.kind.camera,
            epoch=self._epochs.get(key, 0),
            snapshot=snapshot,
        )

    def zygote_ended(self, reason: str) -> None:
        """Count a restart by its reason, and drop the gauges of the process."""
        self._cpu.pop(catalogue.ZYGOTE, None)
        self._process_ended(_ZYGOTE_LABELS, reason)

    def zygote_measured(self, usage: ProcessUsage) -> None:
        self._measured(catalogue.ZYGOTE, _ZYGOTE_LABELS, usage)

    def measured(self, child: ManagedChild | None, usage: ProcessUsage) -> None:
        key = _key(child) if child else ""
        labels = _labels(child) if child else {"process": Owner.SUPERVISOR, "camera": ""}
        self._measured(key, labels, usage)

    def _measured(self, key: str, labels: dict[str, str], usage: ProcessUsage) -> None:
        self._meter.set(catalogue.RESIDENT_MEMORY, float(usage.resident), labels)
        used = max(0.0, usage.cpu - self._cpu.get(key, 0.0))
        self._cpu[key] = usage.cpu
        self._meter.add(catalogue.CPU_SECONDS, labels, used)
        if usage.fds is not None:
            self._meter.set(catalogue.OPEN_FDS, float(usage.fds), labels)

    # --- cameras, commands, reloads ----------------------------------------------------------------

    def camera_state(self, status: CameraStatus) -> None:
        labels = {"camera": status.camera}
        self._meter.set_state(catalogue.CAMERA_STATE, "state", status.state, labels)

    def camera_rate(self, camera: str, asked: float, current: float | None) -> None:
        """Set the frames to analyse per second; `current` is None unless the camera is live."""
        labels = {"camera": camera}
        self._meter.set(catalogue.ASKED_RATE, asked, labels)
        if current is None:
            self._meter.drop(catalogue.CURRENT_RATE, labels)
        else:
            self._meter.set(catalogue.CURRENT_RATE, current, labels)

    def frame_captured(self, camera: str, at: float) -> None:
        """Set the capture time of a camera's newest processed frame, in Unix time."""
        self._meter.set(catalogue.CAMERA_LAST_FRAME, at, {"camera": camera})

    def command_ended(self, verb: str, ok: bool) -> None:  # noqa: FBT001 - a callback
        label = verb if verb in catalogue.COMMAND_VERBS else "other"
        self._meter.add(catalogue.COMMANDS, {"verb": label, "result": "ok" if ok else "refused"})

    def reload_ended(self, *, ok: bool) -> None:
        self._meter.add(catalogue.RELOADS, {"result": "ok" if ok else "refused"})
        if ok:
            self.configuration_loaded()
        else:
            self._meter.set(catalogue.RELOAD_OK, 0.0)

    def configuration_loaded(self) -> None:
        """Set the time from which the configuration is in force."""
        self._meter.set(catalogue.RELOAD_OK, 1.0)
        self._meter.set(catalogue.RELOAD_TIME, self._clock.now().timestamp())


def _key(child: ManagedChild) -> str:
    return f"{child.kind.process}/{child.kind.camera}"


def _labels(child: ManagedChild) -> dict[str, str]:
    return {"process": child.kind.process, "camera": child.kind.camera}
