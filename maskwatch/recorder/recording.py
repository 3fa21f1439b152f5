"""What workers send, on its way into the database."""

from __future__ import annotations

from dataclasses import dataclass

from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.interruptions import Interruptions
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.store_guard import StoreGuard
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import WorkerConnections


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The database, the workers, and everything between them."""

    guard: StoreGuard
    state: CurrentState
    unstored: UnstoredBuffer
    intake: Intake
    workers: WorkerConnections
    interruptions: Interruptions
    snoozes: SnoozeManager

    def turn(self) -> bool:
        """Commit what has arrived, and read on; return whether new alerts may be pending.

        Raises:
            StoreError: the database cannot be used now; everything still waits.
        """
        changed = self.intake.commit(self.guard.store)
        self.workers.flow(running=self.intake.empty)
        self.interruptions.close_replaced(self.guard.store)
        if self.intake.empty:
            changed |= self.snoozes.end_expired(self.guard.store)
        return changed

    def close(self) -> None:
        """Store what still waits, if that is possible now, and disconnect the workers."""
        with self.guard.postponing_errors():
            self.intake.commit_all(self.guard.store)
        self.workers.close()
