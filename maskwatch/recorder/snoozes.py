"""Snoozed cameras: violations are judged and stored as usual, but no alert is sent for a while.

That is decided once for each violation, when it opens, so that consumers get all its changes or none.
A violation that was alerted before the snooze is alerted to its end; one that is still open when the
snooze ends is alerted then, from its first change on. Snoozes are in the database and survive a restart.
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
from maskwatch.store.store import Store

_log = logging.getLogger(__name__)
_MAX_SECONDS = 24 * 3600.0


class SnoozeManager:
    """Which cameras are snoozed until when, and which open violations are silent.

    Within one run a snooze does not depend on the wall clock. `changed` is called with every snooze
    that begins or ends.
    """

    def __init__(
        self, store: Store, unstored: UnstoredBuffer, clock: Clock, changed: Callable[[Snooze], None]
    ) -> None:
        self._unstored = unstored
        self._clock = clock
        self._changed = changed
        self._open: dict[UUID, tuple[str, bool]] = {
            each.id: (each.camera, each.silent) for each in store.state.open_violations()
        }
        self._resumed = store.snoozes.active()
        self._ends_at = {snooze.camera: self._resumed_end(snooze) for snooze in self._resumed}

    def _resumed_end(self, snooze: Snooze) -> float:
        """Return when a snooze of a former run ends; a wrong clock cannot extend it beyond the limit."""
        assert snooze.until is not None
        left = (snooze.until - self._clock.now()).total_seconds()
        return self._clock.monotonic() + min(max(0.0, left), _MAX_SECONDS)

    def announce_resumed(self) -> None:
        for snooze in self._resumed:
            self._changed(snooze)

    def is_snoozed(self, camera: str) -> bool:
        """Return whether no alert is sent of this camera's new violations now."""
        return camera in self._ends_at

    def is_silent(self, subject: Change | Incident) -> bool:
        """Return whether no alert of this change is sent. Call it once for each, in their order."""
        if isinstance(subject, Incident):
            return False
        violation = subject.violation
        if_new = (violation.camera, self.is_snoozed(violation.camera))
        _, silent = self._open.setdefault(violation.id, if_new)
        if violation.ended is not None:
            del self._open[violation.id]
        return silent

    def execute(self, store: Store, command: Command) -> CommandResult:
        """Execute a `snooze`; all earlier changes must have been stored.

        Raises:
            StoreError: the database cannot be written now; nothing was changed.
        """
        camera, seconds = command.target, command.seconds
        if not 0 <= seconds <= _MAX_SECONDS:
            detail = f"seconds: {seconds:g}; expected 0 (to end it) to {_MAX_SECONDS:.0f}"
            return CommandResult(id=command.id, ok=False, detail=detail)
        detail = self._begin(store, command) if seconds else self._end(store, camera)
        return CommandResult(id=command.id, ok=True, detail=detail)

    def end_expired(self, store: Store) -> bool:
        """End the snoozes that are over; return whether any was.

        Call it when nothing waits to be stored.

        Raises:
            StoreError: the database cannot be written now; call again.
        """
        now = self._clock.monotonic()
        expired = [camera for camera, ends_at in self._ends_at.items() if now >= ends_at]
        for camera in expired:
            self._end(store, camera)
        return bool(expired)

    def _begin(self, store: Store, command: Command) -> str:
        camera, seconds, now = command.target, command.seconds, self._clock.now()
        until = now + timedelta(seconds=seconds)
        snooze = Snooze(camera, now, until, command.by)
        store.snoozes.begin(snooze)
        self._ends_at[camera] = self._clock.monotonic() + seconds
        context = {"camera": camera, "by": command.by or command.origin}
        _log.info("camera snoozed for %.0f s: no alerts are sent", seconds, extra=context)
        self._changed(snooze)
        return f"no alerts of {camera} until {until.isoformat(timespec='seconds')}"

    def _end(self, store: Store, camera: str) -> str:
        store.snoozes.end(camera)
        silent = [key for key, (name, is_silent) in self._open.items() if name == camera and is_silent]
        self._unstored.release(silent)
        for violation in silent:
            self._open[violation] = (camera, False)
        if self._ends_at.pop(camera, None) is not None:
            count, context = len(silent), {"camera": camera}
            _log.info("snooze ended: alerts of %d open violations are sent now", count, extra=context)
            self._changed(Snooze(camera))
        return f"alerts of {camera} are on again"
