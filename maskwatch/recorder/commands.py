"""Routes commands: from a sink's thread to the supervisor, and the result back to where it came from."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from uuid import UUID

from maskwatch.alerts.sink import CameraSnapshot, Sink
from maskwatch.errors import StoreError
from maskwatch.ipc.messages import Command, CommandResult, SnapshotTaken
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.store.database import Store

__all__ = ["CommandHandler", "ForwardedCommands", "acknowledge"]


class CommandHandler:
    """Knows what a command may change. Everything runs on the recorder's thread.

    Args:
        commands: who waits for the end of which command.
        intake: what waits to be stored.
        standing: what stands.
        silence: who is snoozed.
        news: called when new alerts may be waiting.

    """

    def __init__(
        self,
        commands: ForwardedCommands,
        intake: Intake,
        standing: CurrentState,
        silence: SnoozeManager,
        news: Callable[[], None],
    ) -> None:
        self._commands = commands
        self._intake = intake
        self._standing = standing
        self._silence = silence
        self._news = news

    def execute(self, store: Store, command: Command) -> CommandResult:
        """Carry out a command; return how that ended."""
        match command.verb:
            case "acknowledge":
                return acknowledge(store, command, self._standing)
            case "snooze":
                return self._snooze(store, command)
            case verb:
                return _refused(command.id, f"the recorder knows no {verb!r}")

    def _snooze(self, store: Store, command: Command) -> CommandResult:
        """Settle what waits by the old rule before the new one holds."""
        try:
            self._intake.commit_all(store)
            if not self._intake.empty:
                return _refused(command.id, "the database cannot be written now")
            return self._silence.obey(store, command)
        except StoreError as error:
            return _refused(command.id, str(error))
        finally:
            self._news()

    def deliver(self, taken: SnapshotTaken, jpeg: bytes) -> CommandResult:
        """Hand a camera's snapshot to the sink that asked for it; return how its command ended."""
        sink = self._commands.asker(taken.command)
        if sink is None:
            return _refused(taken.command, "nobody on the broker waits for this picture")
        sink.snapshot_taken(CameraSnapshot(taken.command, taken.camera, taken.at, jpeg))
        when = taken.at.isoformat(timespec="milliseconds")
        return CommandResult(id=taken.command, ok=True, detail=f"taken at {when}, {len(jpeg)} bytes")


def _refused(command: str, detail: str) -> CommandResult:
    return CommandResult(id=command, ok=False, detail=detail)


_log = logging.getLogger(__name__)
_MOST = 100  # commands without a result, or not yet looked at


def acknowledge(store: Store, command: Command, standing: CurrentState) -> CommandResult:
    """Carry out an `acknowledge`; `target` is the violation's id."""
    try:
        violation = UUID(command.target)
        done = store.acknowledge(violation, command.origin or "unknown")
    except ValueError:
        return CommandResult(id=command.id, ok=False, detail=f"{command.target!r} is no violation's id")
    except StoreError as error:
        return CommandResult(id=command.id, ok=False, detail=str(error))
    if done is None:
        return CommandResult(id=command.id, ok=False, detail=f"there is no violation {violation}")
    standing.acknowledge(violation)
    extra = {"violation": str(violation), "by": command.origin}
    _log.info("violation acknowledged" + ("" if done.first else " again"), extra=extra)
    before = f" before, at {done.at.isoformat(timespec='seconds')} by {done.by}"
    return CommandResult(id=command.id, ok=True, detail="acknowledged" + ("" if done.first else before))


class ForwardedCommands:
    """Commands that came through sinks and wait for their result."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._arrived: SimpleQueue[tuple[Sink, Command]] = SimpleQueue()
        self._askers: OrderedDict[str, Sink] = OrderedDict()

    def take(self, sink: Sink, command: Command) -> None:
        """Take a command from a sink; may be called from any thread. Too many are dropped."""
        if self._arrived.qsize() < _MOST:
            self._arrived.put((sink, command))
            self._ring()

    def route(self, to_supervisor: Callable[[Command], object]) -> None:
        """Pass on what has arrived; the supervisor knows who can obey, and counts."""
        while not self._arrived.empty():
            sink, command = self._arrived.get()
            _log.info("command %s for %r from %s", command.verb, command.target, command.origin)
            self._askers[command.id] = sink
            while len(self._askers) > _MOST:
                self._askers.popitem(last=False)
            to_supervisor(command)

    def asker(self, command: str) -> Sink | None:
        """Return the sink that waits for the end of this command."""
        return self._askers.get(command)

    def done(self, result: CommandResult) -> None:
        """Tell the sink that asked."""
        sink = self._askers.pop(result.id, None)
        if sink is not None:
            sink.command_done(result)
