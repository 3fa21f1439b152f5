"""Collects changes and counts, commits them together, and only then acknowledges them.

The only place that retries a commit. Changes that the store cannot take are never lost here: while it
is locked or fails they stay and are tried again, and no more is read meanwhile; on a full disk, or when
the failure lasts, they move to memory and are acknowledged as not stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident, OccupancyMinute
from maskwatch.errors import DiskFullError, StoreBusyError, StoreDamagedError, StoreError
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.record import Entry, RecordResult, change_kind, subject_id
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)

Acknowledge = Callable[[bool | None], None]
"""Called with True when the entry is on disk, False when it is in memory only, None when it was refused
and must not be acknowledged."""

_BATCH = 64
_MAX_MINUTES = 1000
_RETRY = 0.2
_RETRY_UNSTORED = 1.0  # when a batch from memory comes first, which takes a moment
_LASTING = 10.0  # seconds of a lock, or of failing, after which alerts are sent from memory
_MAX_COMMIT_ALL = 5.0  # seconds for everything that waits, well within those of a heartbeat


@dataclass(frozen=True, slots=True)
class _Item:
    entry: Entry
    acknowledge: Acknowledge


class Intake:
    """The entries that wait to be committed.

    Args:
        unstored: takes what the store cannot take.
        state: is updated with what was recorded.
        run: identifies this run of the daemon, for incidents.
        is_silent: whether no alert of a change is sent (see `SnoozeManager`).

    Attributes:
        trouble: why the store cannot take entries now: "full", "locked", "io", or "" if it can.
    """

    def __init__(
        self,
        unstored: UnstoredBuffer,
        state: CurrentState,
        *,
        run: str,
        clock: Clock,
        meter: Meter,
        is_silent: Callable[[Change | Incident], bool] = lambda _: False,
    ) -> None:
        self.trouble = ""
        self._run = run
        self._is_silent = is_silent
        self._unstored = unstored
        self._state = state
        self._clock = clock
        self._meter = meter
        self._items: list[_Item] = []
        self._minutes: list[OccupancyMinute] = []
        self._retry_at = 0.0
        self._trouble_since = 0.0

    @property
    def full(self) -> bool:
        """Whether no more should be read from workers before the next commit."""
        return len(self._items) >= _BATCH

    @property
    def pressing(self) -> bool:
        """Whether more waits that can be committed right now."""
        return bool(self._items or self._unstored) and not self.trouble

    @property
    def blocked(self) -> bool:
        """Whether the database cannot be used now: each further attempt would only cost time."""
        return self.trouble in {"locked", "io"}

    @property
    def empty(self) -> bool:
        return not self._items and not self._minutes

    @property
    def settled(self) -> bool:
        """Whether everything that arrived is in the database."""
        return self.empty and not self._unstored

    def add(self, entry: Entry, acknowledge: Acknowledge = lambda _: None) -> None:
        entry = replace(entry, silent=self._is_silent(entry.subject))
        self._items.append(_Item(entry, acknowledge))

    def add_incident(self, incident: Incident) -> None:
        self.add(Entry(incident, None, f"{self._run}/supervisor", self._clock.now()))

    def add_minute(self, minute: OccupancyMinute) -> None:
        """Add a count; while the store fails for long, the oldest ones are dropped."""
        self._minutes.append(minute)
        del self._minutes[:-_MAX_MINUTES]

    def commit(self, store: Store) -> bool:
        """Store and acknowledge a batch of what waits; return whether new alerts may be pending.

        Only a batch: a transaction of thousands of changes would delay the next heartbeat.

        Raises:
            StoreDamagedError: the database must be reopened; everything still waits.
        """
        if self.settled:
            return False
        if self._clock.monotonic() < self._retry_at:
            return self._move_to_memory()
        try:
            self._store_batch(store)
        except StoreDamagedError:
            self._count_error("damaged")
            raise
        except StoreError as error:
            self._retry_later(error)
            return self._move_to_memory()
        self.trouble = ""
        return True

    def commit_all(self, store: Store) -> None:
        """Store everything that waits, if the store can do so now and soon; raises as `commit`."""
        deadline = self._clock.monotonic() + _MAX_COMMIT_ALL
        while self.commit(store) and self.pressing and self._clock.monotonic() < deadline:
            pass

    def _store_batch(self, store: Store) -> None:
        """Store the entries in memory, which came first, and only with the last of them the others."""
        unstored = self._unstored.entries()[:_BATCH]
        items = self._items[: _BATCH - len(unstored)] if len(unstored) == len(self._unstored) else []
        receipts = store.changes.record([*unstored, *(item.entry for item in items)], self._minutes)
        if unstored:
            _log.warning("%d changes that were held in memory are stored now", len(unstored))
        self._unstored.remove(unstored)
        self._minutes.clear()
        del self._items[: len(items)]
        for entry, receipt in zip(unstored, receipts, strict=False):
            if receipt is RecordResult.STORED:
                self._count_recorded(entry)
        self._acknowledge(items, receipts[len(unstored) :])

    def _acknowledge(self, items: Sequence[_Item], receipts: Sequence[RecordResult]) -> None:
        for item, receipt in zip(items, receipts, strict=True):
            if receipt is RecordResult.REFUSED:
                item.acknowledge(None)
                continue
            if receipt is RecordResult.STORED:
                self._update_state(item.entry)
                self._count_recorded(item.entry)
            elif receipt is RecordResult.CONFLICT:
                context = {"alert": f"{subject_id(item.entry.subject)}:{item.entry.subject.number}"}
                _log.warning("this change was stored before with other contents", extra=context)
            item.acknowledge(True)  # noqa: FBT003 - the one argument of a callback

    def _count_recorded(self, entry: Entry) -> None:
        subject = entry.subject
        kind = change_kind(subject).value
        self._meter.add(catalogue.CHANGES_RECORDED, {"change": kind})
        if isinstance(subject, Incident) and subject.number == 1:
            self._meter.add(catalogue.INCIDENTS, {"kind": subject.kind.value})

    def _update_state(self, entry: Entry) -> None:
        self._state.update_subject(entry.subject, silent=entry.silent)
        if entry.silent and isinstance(entry.subject, Change):
            camera = entry.subject.violation.camera
            self._meter.add(catalogue.CHANGES_SILENCED, {"camera": camera})

    def _move_to_memory(self) -> bool:
        """Make what the store cannot take deliverable: immediately on a full disk, else if it lasts."""
        lasting = self._clock.monotonic() - self._trouble_since >= _LASTING
        if self.trouble != "full" and not (self.trouble and lasting):
            return False
        entries = [item.entry for item in self._items]
        if not entries or not self._unstored.has_room_for(entries):
            return False
        items, self._items = self._items, []
        self._unstored.add(entries)
        for item in items:
            self._update_state(item.entry)
            item.acknowledge(False)  # noqa: FBT003 - the one argument of a callback
        return True

    def _retry_later(self, error: StoreError) -> None:
        reason = _reason(error)
        self._count_error(reason)
        now = self._clock.monotonic()
        self._retry_at = now + (_RETRY_UNSTORED if self._unstored else _RETRY)
        if not self.trouble:
            self._trouble_since = now
        if self.trouble != reason:  # once per trouble, not once per attempt
            _log.error("%s; trying again", error)
        self.trouble = reason

    def _count_error(self, reason: str) -> None:
        self._meter.add(catalogue.STORE_ERROR_COUNT, {"reason": reason})


def _reason(error: StoreError) -> str:
    match error:
        case DiskFullError():
            return "full"
        case StoreBusyError():
            return "locked"
    return "io"
