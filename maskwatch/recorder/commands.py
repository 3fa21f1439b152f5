"""Operators' commands: the recorder executes its own, and forwards the others to the supervisor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

import msgspec

from maskwatch.alerts.sink import CameraSnapshot, Sink
from maskwatch.clock import Clock
from maskwatch.errors import StoreError
from maskwatch.ipc.messages import Command, CommandExecuted, CommandResult, SnapshotTaken
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.store.parked import ParkedFilter
from maskwatch.store.store import Store

_log = logging.getLogger(__name__)
_OWN_VERBS = frozenset({"acknowledge", "snooze"})


class CommandHandler:
    """Executes and forwards commands. Everything runs on the recorder's thread.

    A forwarded command waits here for its result without a time-out: the supervisor has one, and
    answers every command. `send` sends a message to the supervisor.
    """

    def __init__(
        self,
        intake: Intake,
        state: CurrentState,
        snoozes: SnoozeManager,
        send: Callable[[msgspec.Struct], object],
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._state = state
        self._snoozes = snoozes
        self._send = send
        self._clock = clock
        self._forwarded: dict[str, Sink] = {}

    def run(self, store: Store, sink: Sink, command: Command) -> None:
        """Execute or forward a command that arrived through a sink, and answer it there."""
        context = {"by": command.by or command.origin}
        _log.info("command %s for %r", command.verb, command.target, extra=context)
        if command.verb not in _OWN_VERBS:
            self._forwarded[command.id] = sink
            self._send(command)
            return
        result = self.execute(store, command)
        self._send(CommandExecuted(verb=command.verb, ok=result.ok))
        sink.publish(result)

    def finish(self, result: CommandResult) -> None:
        sink = self._forwarded.pop(result.id, None)
        if sink is not None:
            sink.publish(result)

    def execute(self, store: Store, command: Command) -> CommandResult:
        """Execute a command of the recorder's own; return its result."""
        try:
            match command.verb:
                case "acknowledge":
                    return self._acknowledge(store, command)
                case "snooze":
                    return self._snooze(store, command)
                case "retry":
                    return self._retry(store, command)
                case verb:
                    return _refused(command.id, f"the recorder has no command {verb!r}")
        except StoreError as error:
            return _refused(command.id, str(error))

    def _acknowledge(self, store: Store, command: Command) -> CommandResult:
        try:
            violation = UUID(command.target)
        except ValueError:
            return _refused(command.id, f"{command.target!r} is no violation's id")
        done = store.acknowledgements.add(violation, command.origin or "unknown")
        if done is None:
            return _refused(command.id, f"there is no violation {violation}")
        self._state.acknowledge(violation)
        context = {"violation": str(violation), "by": command.by or command.origin}
        _log.info("violation acknowledged" + ("" if done.first else " again"), extra=context)
        before = f" before, at {done.at.isoformat(timespec='seconds')} by {done.by}"
        detail = "acknowledged" + ("" if done.first else before)
        return CommandResult(id=command.id, ok=True, detail=detail)

    def _snooze(self, store: Store, command: Command) -> CommandResult:
        if command.target not in self._state.cameras:
            return _refused(command.id, f"there is no camera {command.target!r}")
        # Stored first: the end of a snooze releases the rows that are in the database.
        self._intake.commit_all(store)
        if not self._intake.empty:
            return _refused(command.id, "the database cannot be written now")
        return self._snoozes.execute(store, command)

    def _retry(self, store: Store, command: Command) -> CommandResult:
        criteria = ParkedFilter(command.target, command.since, command.until)
        by = command.by or command.origin
        counts = store.outbox.put_back(criteria, by, self._clock.now())
        context = {"sink": command.target, "by": by}
        _log.info("%d parked alerts are retried", sum(counts.values()), extra=context)
        return CommandResult(id=command.id, ok=True, counts=counts)

    def deliver_snapshot(self, taken: SnapshotTaken, jpeg: bytes) -> CommandResult:
        """Send a camera's picture to the sink that requested it; return the result of its command."""
        sink = self._forwarded.get(taken.command)
        if sink is None:
            return _refused(taken.command, "no client of the broker waits for this picture")
        sink.publish(CameraSnapshot(taken.command, taken.camera, taken.at, jpeg))
        when = taken.at.isoformat(timespec="milliseconds")
        return CommandResult(id=taken.command, ok=True, detail=f"taken at {when}, {len(jpeg)} bytes")


def _refused(command: str, detail: str) -> CommandResult:
    return CommandResult(id=command, ok=False, detail=detail)
