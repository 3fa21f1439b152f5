"""Follows the states, incidents and snoozes of all cameras, and keeps the recorder informed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import msgspec

from maskwatch.clock import Clock
from maskwatch.domain import CameraState, CameraStatus, Incident, Snooze
from maskwatch.ipc.messages import IncidentChanged, StatusChanged
from maskwatch.supervisor.child import ChildEvents, ManagedChild, Phase
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.incidents import CameraHealth, IncidentTracker
from maskwatch.supervisor.metrics import SupervisorMetrics

_log = logging.getLogger(__name__)

# One text for each state, so that the filter of repeated lines never holds back a change of state.
_TEXTS = {state: f"camera {state}" for state in CameraState}


# A compromised worker chooses its reason freely, and it goes to logs, topics and terminals.
_MAX_REASON = 300


def _printable(text: str) -> str:
    text = text[:_MAX_REASON]
    return "".join(character if character.isprintable() else "?" for character in text)


class CameraStatusTable:
    """Keeps the newest status of each camera, and reports each change of state or reason once."""

    def __init__(self, now: Callable[[], datetime], changed: Callable[[CameraStatus], None]) -> None:
        self._now = now
        self._changed = changed
        self._statuses: dict[str, CameraStatus] = {}

    def __getitem__(self, camera: str) -> CameraStatus:
        return self._statuses[camera]

    @property
    def all(self) -> tuple[CameraStatus, ...]:
        return tuple(self._statuses.values())

    def update(self, worker: ManagedChild) -> None:
        camera = worker.kind.camera
        old = self._statuses.get(camera)
        new = self._status(worker, old)
        if old is None or replace(old, since=new.since) != new:
            self._statuses[camera] = new
            self._changed(new)

    def remove(self, camera: str) -> None:
        self._statuses.pop(camera, None)

    def _status(self, worker: ManagedChild, old: CameraStatus | None) -> CameraStatus:
        camera, heartbeat, now = worker.kind.camera, worker.heartbeat, self._now()
        match worker.phase:
            case Phase.IDLE:
                return CameraStatus(CameraState.DISABLED, "disabled", now, camera)
            case Phase.QUARANTINED:
                reason = f"its process failed too often; most recently it {worker.reason}"
                return CameraStatus(CameraState.QUARANTINED, reason, now, camera)
            case Phase.STOPPING if old is not None:
                return old
            case _ if heartbeat is not None:
                reason, overload = _printable(heartbeat.reason), _printable(heartbeat.overload)
                state, since = heartbeat.state, heartbeat.since
                return CameraStatus(state, reason, since, camera, overload=overload)
            case _ if worker.reason:
                # Until the new worker's first heartbeat the camera counts as being reconnected.
                return CameraStatus(CameraState.BACKOFF, f"its process {worker.reason}", now, camera)
            case _:
                return CameraStatus(CameraState.CONNECTING, "starting", now, camera)


class CameraMonitor(ChildEvents):
    """Logs and counts every change of a camera's state, and sends it to the recorder."""

    def __init__(self, children: ChildProcesses, metrics: SupervisorMetrics, clock: Clock) -> None:
        self.statuses = CameraStatusTable(clock.now, self._status_changed)
        self.incidents = IncidentTracker(self._incident_changed)
        self.snoozes: dict[str, Snooze] = {}
        self._children = children
        self._metrics = metrics
        self._clock = clock
        self._stopped = False

    def update(self, missing: str = "") -> None:
        """Open and close incidents by the cameras' states, and by what the daemon lacks."""
        cameras = [
            CameraHealth(self.statuses[name], worker.policy.on_probation, worker.misbehaviour)
            for name, worker in self._children.workers.items()
        ]
        supervision = self._children.config.supervision
        self.incidents.update(cameras, supervision, self._clock.monotonic(), self._clock.now(), missing)
        for name, worker in self._children.workers.items():
            if worker.heartbeat is not None and worker.heartbeat.last_frame is not None:
                self._metrics.frame_captured(name, worker.heartbeat.last_frame.timestamp())

    def stop(self) -> None:
        """Ignore the workers from now on: they end because the daemon does, not their cameras."""
        self._stopped = True

    # --- ChildEvents -------------------------------------------------------------------------------

    def changed(self, child: ManagedChild) -> None:
        """Take over a worker's state; inform a recorder that has just become ready."""
        if child.kind.camera:
            if not self._stopped:
                self.statuses.update(child)
        elif self._children.recorder_runs and child.heartbeat is None:
            self._inform_new_recorder()

    def removed(self, child: ManagedChild) -> None:
        self.statuses.remove(child.kind.camera)

    # --- the recorder ------------------------------------------------------------------------------

    def _inform_new_recorder(self) -> None:
        """Send all statuses and incidents; the recorder skips incidents that it has stored."""
        self.snoozes.clear()  # it reports its own
        for status in self.statuses.all:
            self._send(StatusChanged(status=status))
        for incident in self.incidents.recent:
            self._send(IncidentChanged(incident=incident))

    def _status_changed(self, status: CameraStatus) -> None:
        extra = {"camera": status.camera, "reason": status.reason or None}
        _log.info(_TEXTS[status.state], extra=extra)
        self._metrics.camera_state(status)
        self._send(StatusChanged(status=status))

    def _incident_changed(self, incident: Incident) -> None:
        extra = {"camera": incident.camera, "incident": str(incident.id), "reason": incident.reason}
        word = "ended" if incident.ended else "began"
        _log.warning("incident %s: %s", word, incident.kind, extra=extra)
        self._send(IncidentChanged(incident=incident))

    def _send(self, message: msgspec.Struct) -> None:
        # Nothing is lost while no recorder runs: the next one is sent everything again.
        if self._children.recorder_runs:
            self._children.recorder.send(message)
