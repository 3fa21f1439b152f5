"""Passes each message of a child on to the object that handles it."""

from __future__ import annotations

import logging

from maskwatch.clock import Clock
from maskwatch.ipc.messages import (
    Command,
    CommandExecuted,
    CommandResult,
    Metrics,
    SinksChanged,
    SnoozeChanged,
    ToSupervisor,
    WorkerMisbehaved,
)
from maskwatch.supervisor.camera_monitor import CameraMonitor
from maskwatch.supervisor.child import ChildEvents, ManagedChild
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.commands import CommandRouter
from maskwatch.supervisor.metrics import SupervisorMetrics

_log = logging.getLogger(__name__)


class ChildEventRouter(ChildEvents):
    """Receives the messages of all children."""

    def __init__(
        self,
        children: ChildProcesses,
        cameras: CameraMonitor,
        commands: CommandRouter,
        metrics: SupervisorMetrics,
        clock: Clock,
    ) -> None:
        self._children = children
        self._cameras = cameras
        self._commands = commands
        self._metrics = metrics
        self._clock = clock

    def received(self, child: ManagedChild, message: ToSupervisor) -> None:
        """Route a message; a worker that sends one that only the recorder may send is replaced."""
        from_recorder = child is self._children.recorder
        match message:
            case Metrics():
                self._metrics.snapshot_received(child, message.snapshot)
            case CommandResult():
                self._commands.done(message, child.kind.camera)
            case WorkerMisbehaved() if from_recorder:
                self._children.report_misbehaviour(message.pid, message.reason)
            case SnoozeChanged() if from_recorder:
                self._cameras.snoozes[message.snooze.camera] = message.snooze
            case SinksChanged() if from_recorder:
                self._children.sinks = message.sinks
            case CommandExecuted() if from_recorder:
                self._metrics.command_ended(message.verb, message.ok)
            case Command() if from_recorder:
                self._commands.run(message, self._reply, self._clock.monotonic())
            case _:
                name = type(message).__name__
                _log.error("unexpected message %s from the %s", name, child.kind)
                if child.kind.camera:
                    child.report_misbehaviour(f"sent a {name}")

    def _reply(self, result: CommandResult) -> None:
        """Return the result of a command to the recorder, unless it has ended meanwhile."""
        self._children.recorder.send(result)
