"""Snoozed cameras: their violations are judged and stored as ever, but told to nobody for a while.

It is settled once for each violation, when it opens, so that consumers hear of all its changes or of
none. What was told before the snooze is told to its end; what is still open when the snooze is over
is told then, from its first change on. Snoozes are kept in the database, and outlive a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident, Snooze
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.database import Store

__all__ = ["SnoozeManager"]

_log = logging.getLogger(__name__)
_LONGEST = 24 * 3600.0


class SnoozeManager:
    """Who is snoozed until when, and which open violations nobody is told of.

    Args:
        store: holds the snoozes of former runs.
        memory: what could not be stored, and may be told once the snooze is over.
        clock: for all times; the length of a snooze does not depend on the wall clock in one run.
        tell: called with every snooze that begins or ends.

    Attributes:
        running: the snoozes of former runs that go on; the owner tells of them.

    """

    def __init__(
        self, store: Store, memory: UnstoredBuffer, clock: Clock, tell: Callable[[Snooze], None]
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._tell = tell
        known: dict[UUID, tuple[str, bool]] = {s.id: (s.camera, s.silent) for s in store.settled()}
        self._settled = known
        self._due: dict[str, float] = {}
        self.running = store.snoozes()
        for snooze in self.running:
            self._take_up(snooze)

    def _take_up(self, snooze: Snooze) -> None:
        """Go on with a snooze of a former run; a wrong clock cannot make it longer than any."""
        assert snooze.until is not None
        left = (snooze.until - self._clock.now()).total_seconds()
        self._due[snooze.camera] = self._clock.monotonic() + min(max(0.0, left), _LONGEST)

    # --- what it knows ----------------------------------------------------------------------------

    def snoozed(self, camera: str) -> bool:
        """Return whether nobody is told of this camera's new violations now."""
        return camera in self._due

    def covers(self, subject: Change | Incident) -> bool:
        """Return whether nobody is told of this change. Ask once for each, in their order."""
        if isinstance(subject, Incident):
            return False
        violation = subject.violation
        fresh = (violation.camera, self.snoozed(violation.camera))
        _, silent = self._settled.setdefault(violation.id, fresh)
        if violation.ended is not None:
            del self._settled[violation.id]
        return silent

    # --- what happens -----------------------------------------------------------------------------

    def obey(self, store: Store, command: Command) -> CommandResult:
        """Carry out a `snooze`; its changes so far must be stored before.

        Raises:
            StoreError: the database cannot be written now; nothing was changed.

        """
        camera, seconds = command.target, command.seconds
        if not 0 <= seconds <= _LONGEST:
            detail = f"seconds: {seconds:g}; expected 0 (to end it) to {_LONGEST:.0f}"
            return CommandResult(id=command.id, ok=False, detail=detail)
        detail = self._begin(store, camera, seconds) if seconds else self._end(store, camera)
        return CommandResult(id=command.id, ok=True, detail=detail)

    def turn(self, store: Store) -> bool:
        """End what is over; return whether something did. Call it when nothing waits to be stored.

        Raises:
            StoreError: the database cannot be written now; ask again.

        """
        now = self._clock.monotonic()
        over = [camera for camera, due in self._due.items() if now >= due]
        for camera in over:
            self._end(store, camera)
        return bool(over)

    def _begin(self, store: Store, camera: str, seconds: float) -> str:
        now = self._clock.now()
        snooze = Snooze(camera, now, now + timedelta(seconds=seconds))
        store.snooze(snooze)
        self._due[camera] = self._clock.monotonic() + seconds
        _log.info(
            "snoozed for %.0f s: violations are stored, nobody is told", seconds, extra=_of(camera)
        )
        self._tell(snooze)
        assert snooze.until is not None
        return f"nobody is told of {camera} until {snooze.until.isoformat(timespec='seconds')}"

    def _end(self, store: Store, camera: str) -> str:
        store.end_snooze(camera)
        silent = [key for key, (name, quiet) in self._settled.items() if name == camera and quiet]
        self._memory.tell(silent)
        for violation in silent:
            self._settled[violation] = (camera, False)
        if self._due.pop(camera, None) is not None:
            _log.info(
                "the snooze is over; %d open violations are told now", len(silent), extra=_of(camera)
            )
            self._tell(Snooze(camera))
        return f"people are told of {camera} again"


def _of(camera: str) -> dict[str, str]:
    return {"camera": camera}
