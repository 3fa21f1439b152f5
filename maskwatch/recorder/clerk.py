"""Carries out the commands that are the recorder's own, and takes snapshots to who asked for them."""

from __future__ import annotations

from collections.abc import Callable

from maskwatch.alerts.sink import Snapshot
from maskwatch.errors import StoreError
from maskwatch.ipc.messages import Command, CommandResult, SnapshotTaken
from maskwatch.recorder.commands import Commands, acknowledge
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.silence import Silence
from maskwatch.recorder.standing import Standing
from maskwatch.store.database import Store

__all__ = ["Clerk"]


class Clerk:
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
        commands: Commands,
        intake: Intake,
        standing: Standing,
        silence: Silence,
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
        sink.snapshot_taken(Snapshot(taken.command, taken.camera, taken.at, jpeg))
        when = taken.at.isoformat(timespec="milliseconds")
        return CommandResult(id=taken.command, ok=True, detail=f"taken at {when}, {len(jpeg)} bytes")


def _refused(command: str, detail: str) -> CommandResult:
    return CommandResult(id=command, ok=False, detail=detail)
