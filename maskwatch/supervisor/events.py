"""Passes on what the children say: states, incidents, commands and counts, each to its place."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from maskwatch.clock import Clock
from maskwatch.domain import CameraState, CameraStatus, Incident, Snooze
from maskwatch.ipc.messages import (
    Command,
    CommandExecuted,
    CommandResult,
    IncidentChanged,
    Metrics,
    SnoozeChanged,
    StatusChanged,
    ToSupervisor,
    WorkerMisbehaved,
)
from maskwatch.supervisor.camera_status import CameraStatusTable
from maskwatch.supervisor.child import ManagedChild, Phase
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.commands import CommandRouter
from maskwatch.supervisor.incidents import CameraHealth, IncidentTracker
from maskwatch.supervisor.metrics import SupervisorMetrics

__all__ = ["ChildEventRouter"]

_log = logging.getLogger(__name__)

# A text for each: a camera that tried five times and is live then says no repetition.
_CHANGES = {state: f"camera {state}" for state in CameraState}


class ChildEventRouter:
    """The family's events come in here. `family` must be set before the first child is started.

    Args:
        telemetry: what is counted.
        clock: for all times.
        answer: seconds that a child may take to answer a command.
        reload: begins a reload; calls back with its success and a summary.
        start_failed: called with the exit code of a recorder that never became ready.

    """

    family: ChildProcesses

    def __init__(
        self,
        telemetry: SupervisorMetrics,
        clock: Clock,
        *,
        answer: float,
        reload: Callable[[Callable[[bool, str], None]], None],
        start_failed: Callable[[int], None],
    ) -> None:
        self.board = CameraStatusTable(clock.now, self._tell_status)
        self.incidents = IncidentTracker(self._tell_incident)
        self.router = CommandRouter(self, answer, self._count_command)
        self.snoozes: dict[str, Snooze] = {}
        self._telemetry = telemetry
        self._clock = clock
        self._reload = reload
        self._start_failed = start_failed
        self._recorder_worked = False
        self._ending = False

    def end(self) -> None:
        """From now on children end because we do: that says nothing of their cameras."""
        self._ending = True

    def look(self) -> None:
        """Compare how the cameras are with the incidents that are known."""
        sights = [
            CameraHealth(self.board[name], keeper.policy.distrusted)
            for name, keeper in self.family.workers.items()
        ]
        config, now = self.family.config.supervision, self._clock.monotonic()
        self.incidents.update(sights, config, now, self._clock.now())
        for name, keeper in self.family.workers.items():
            if keeper.beat is not None and keeper.beat.last_frame is not None:
                self._telemetry.frame(name, keeper.beat.last_frame.timestamp())

    # --- what the family tells (FamilyEvents) ---

    def began(self, keeper: ManagedChild) -> None:
        """A process was started."""
        self._telemetry.began(keeper)

    def heard(self, keeper: ManagedChild, message: ToSupervisor) -> None:
        """A child said something that is not about its own health."""
        match message:
            case Metrics():
                self._telemetry.counted(keeper, message.snapshot)
            case CommandResult():
                self.router.done(message, keeper.kind.camera)
            case WorkerMisbehaved() if keeper is self.family.recorder:
                self.family.distrust(message.pid, message.reason)
            case SnoozeChanged() if keeper is self.family.recorder:
                self.snoozes[message.snooze.camera] = message.snooze
            case CommandExecuted() if keeper is self.family.recorder:
                self._count_command(message.verb, message.ok)
            case Command() if keeper is self.family.recorder:
                self.router.run(message, self._send_recorder, self._clock.monotonic())
            case _:
                said = type(message).__name__
                _log.error("the %s sent a %s, which is not its to say", keeper.kind, said)
                if keeper.kind.camera:
                    keeper.distrust(f"sent a {said}")

    def changed(self, keeper: ManagedChild) -> None:
        """A keeper's phase changed, or a heartbeat came."""
        if keeper.kind.camera:
            if keeper.kind.camera in self.family.workers and not self._ending:
                self.board.look(keeper)
        elif keeper.phase is Phase.RUNNING and keeper.beat is None:
            # A recorder that is new: it is told everything, and knows what it has seen by the ids.
            self._recorder_worked = True
            self.snoozes.clear()  # it tells its own
            for status in self.board.all:
                self._send_recorder(StatusChanged(status=status))
            for incident in self.incidents.recent:
                self._send_recorder(IncidentChanged(incident=incident))

    def ended(self, keeper: ManagedChild, code: int, reason: str) -> None:
        """A process ended."""
        if self.family.workers.get(keeper.kind.camera, keeper) is keeper:
            self._telemetry.ended(keeper, reason)
        if keeper is self.family.recorder and not self._recorder_worked and code > 1:
            self._start_failed(code)

    def gone(self, keeper: ManagedChild) -> None:
        """A camera that is configured no longer has no process any more."""
        if keeper.kind.camera not in self.family.workers:  # nor was it configured anew meanwhile
            self.board.forget(keeper.kind.camera)
            self._telemetry.forget(keeper)

    # --- what the recorder is told ---

    def _tell_status(self, status: CameraStatus) -> None:
        extra = {"camera": status.camera, "reason": status.reason or None}
        _log.info(_CHANGES[status.state], extra=extra)
        self._telemetry.status(status)
        self._send_recorder(StatusChanged(status=status))

    def _tell_incident(self, incident: Incident) -> None:
        word = "ended" if incident.ended else "began"
        extra = {
            "camera": incident.camera,
            "incident": str(incident.id),
            "reason": incident.reason,
        }
        _log.warning("trouble %s: %s", word, incident.kind, extra=extra)
        self._send_recorder(IncidentChanged(incident=incident))

    def _send_recorder(self, message: msgspec.Struct) -> None:
        # While it is away nothing is lost: a new one is told everything again.
        if self.family.recorder.phase is Phase.RUNNING:
            self.family.recorder.send(message)

    # --- commands (Executor) ---

    def switch(self, camera: str, *, on: bool, seconds: float) -> str:
        """Watch a camera, or stop for a while or until further notice."""
        return self.family.switch(camera, on=on, seconds=seconds)

    def forward(self, command: Command) -> str:
        """Send a command to the child that executes it."""
        keeper = self.family.workers.get(command.target)
        if command.verb == "acknowledge" or (command.verb == "snooze" and keeper is not None):
            taken = self.family.recorder.send(command)
            return "" if taken else "the recorder does not run"
        if keeper is None:
            return f"there is no camera {command.target!r}"
        return "" if keeper.send(command) else f"the camera {command.target} has no running process"

    def reload(self, done: Callable[[bool, str], None]) -> None:
        """Begin a reload."""
        self._reload(done)

    def _count_command(self, verb: str, ok: bool) -> None:  # noqa: FBT001 - a callback
        self._telemetry.commanded(verb, ok=ok)
