"""Closes, as interrupted, what no process will close any more."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.worker_connections import WorkerConnections
from maskwatch.store.models import ViolationRow
from maskwatch.store.record import subject_id
from maskwatch.store.state import interruptions
from maskwatch.store.store import Store

_log = logging.getLogger(__name__)
_ORPHANED_AFTER = 60.0  # seconds without a worker before its camera's violations are closed


class Interruptions:
    """Closes violations and incidents whose process has ended."""

    def __init__(
        self, workers: WorkerConnections, intake: Intake, state: CurrentState, clock: Clock
    ) -> None:
        self._workers = workers
        self._intake = intake
        self._state = state
        self._clock = clock

    def close(self, changes: Sequence[Change], incidents: Sequence[Incident] = ()) -> None:
        for entry in interruptions(changes, incidents, self._clock.now()):
            context = {"violation": str(subject_id(entry.subject))}
            _log.warning("left open by an ended process: closed as interrupted", extra=context)
            self._intake.add(entry)

    def close_replaced(self, store: Store) -> None:
        """Close what replaced workers left open, once their successor has connected.

        Raises:
            StoreError: the database cannot be read now; call again.
        """
        newcomers = self._workers.newcomers
        while newcomers and self._intake.settled:
            camera, owner = newcomers[0]
            left_open = store.state.open_changes(
                ViolationRow.camera == camera, ViolationRow.owner != owner
            )
            newcomers.popleft()
            self.close(left_open)

    def close_orphaned(self) -> None:
        """Close what is open of cameras that have been without a worker for a while."""
        if self._intake.settled:
            self.close(
                [
                    change
                    for change in self._state.open_violations
                    if self._workers.seconds_absent(change.violation.camera) > _ORPHANED_AFTER
                ]
            )
