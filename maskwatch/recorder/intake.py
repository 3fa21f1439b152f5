"""Collects changes and counts, commits them together, and only then acknowledges them.

What the store cannot take is never lost here: locked or failing, it stays and is tried again, and
no more is read meanwhile; on a full disk it moves to memory and is acknowledged as not stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident, OccupancyMinute
from maskwatch.errors import DiskFullError, StoreBusyError, StoreDamagedError, StoreError
from maskwatch.recorder.memory import Memory
from maskwatch.recorder.standing import Standing
from maskwatch.store.database import Store
from maskwatch.store.record import Entry, Receipt, change_kind, subject_id
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["Acknowledge", "Intake"]

_log = logging.getLogger(__name__)

# Called with True when the entry is on disk, False when it is in memory only, None when it was
# refused and must not be acknowledged.
Acknowledge = Callable[[bool | None], None]

_BATCH = 64
_MINUTES = 1000
_RETRY = 0.2


@dataclass(frozen=True, slots=True)
class _Item:
    entry: Entry
    acknowledge: Acknowledge


class Intake:
    """What waits to be committed."""

    def __init__(
        self,
        memory: Memory,
        standing: Standing,
        *,
        clock: Clock,
        meter: Meter,
        covers: Callable[[Change | Incident], bool] = lambda _: False,
    ) -> None:
        """Begin empty; `covers` says whether nobody is told of a change (see `Silence`)."""
        self._covers = covers
        self._memory = memory
        self._standing = standing
        self._clock = clock
        self._meter = meter
        self._items: list[_Item] = []
        self._minutes: list[OccupancyMinute] = []
        self._retry_at = 0.0
        self.trouble = ""

    @property
    def full(self) -> bool:
        """Whether no more should be read from workers before the next commit."""
        return len(self._items) >= _BATCH

    @property
    def pressing(self) -> bool:
        """Whether more waits that can be committed right now."""
        return bool(self._items) and not self.trouble

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items and not self._minutes

    def add(self, entry: Entry, acknowledge: Acknowledge) -> None:
        """Take a change."""
        entry = replace(entry, silent=self._covers(entry.subject))
        self._items.append(_Item(entry, acknowledge))

    def add_minute(self, minute: OccupancyMinute) -> None:
        """Take a count; with the store in trouble for long, the oldest ones are given up."""
        self._minutes.append(minute)
        del self._minutes[:-_MINUTES]

    def commit(self, store: Store) -> bool:
        """Store a batch of what waits, and acknowledge it; return whether new alerts may be waiting.

        Not all at once: thousands of changes in one transaction would keep us from beating.

        Raises:
            StoreDamagedError: the database must be opened anew; everything still waits.

        """
        if (self.empty and not self._memory) or self._clock.monotonic() < self._retry_at:
            return False
        try:
            receipts = self._store_all(store)
        except DiskFullError as error:
            return self._to_memory(error)
        except StoreDamagedError:
            self._count("damaged")
            raise
        except StoreError as error:
            self._later("locked" if isinstance(error, StoreBusyError) else "io", error)
            return False
        self.trouble = ""
        self._stored(receipts)
        return True

    def commit_all(self, store: Store) -> None:
        """Store everything that waits, if it can be stored now; raises as `commit`."""
        while self.commit(store) and not self.empty:
            pass

    def _store_all(self, store: Store) -> Sequence[Receipt]:
        """Store memory and batch together: what is in memory came first."""
        remembered = self._memory.entries()
        batch = [item.entry for item in self._items[:_BATCH]]
        receipts = store.record([*remembered, *batch], self._minutes)
        if remembered:
            _log.warning("%d changes that were held in memory are stored now", len(remembered))
        self._memory.clear()
        self._minutes.clear()
        return receipts[len(remembered) :]

    def _stored(self, receipts: Sequence[Receipt]) -> None:
        items, self._items = self._items[:_BATCH], self._items[_BATCH:]
        for item, receipt in zip(items, receipts, strict=True):
            if receipt is Receipt.REFUSED:
                item.acknowledge(None)
                continue
            if receipt is Receipt.STORED:
                self._accept(item.entry)
            elif receipt is Receipt.CONFLICT:
                ids = {"alert": f"{subject_id(item.entry.subject)}:{item.entry.subject.number}"}
                _log.warning("a change was stored before with other contents", extra=ids)
            item.acknowledge(True)  # noqa: FBT003 - the one argument of a callback

    def _accept(self, entry: Entry) -> None:
        subject = entry.subject
        self._stands(entry)
        kind = change_kind(subject).value
        self._meter.add(catalogue.CHANGES_RECORDED, {"change": kind})
        if isinstance(subject, Incident) and subject.number == 1:
            self._meter.add(catalogue.INCIDENTS, {"kind": subject.kind.value})

    def _stands(self, entry: Entry) -> None:
        self._standing.subject(entry.subject, silent=entry.silent)
        if entry.silent and isinstance(entry.subject, Change):
            camera = entry.subject.violation.camera
            self._meter.add(catalogue.CHANGES_SILENCED, {"camera": camera})

    def _to_memory(self, error: DiskFullError) -> bool:
        self._minutes.clear()
        entries = [item.entry for item in self._items]
        self._later("full", error)
        if not entries or not self._memory.room_for(entries):
            return False
        items, self._items = self._items, []
        self._memory.keep(entries)
        for item in items:
            self._stands(item.entry)
            item.acknowledge(False)  # noqa: FBT003 - the one argument of a callback
        return True

    def _later(self, reason: str, error: StoreError) -> None:
        self._count(reason)
        self._retry_at = self._clock.monotonic() + _RETRY
        if self.trouble != reason:  # once per trouble, not once per attempt
            _log.error("%s; trying again", error)
        self.trouble = reason

    def _count(self, reason: str) -> None:
        self._meter.add(catalogue.STORE_ERROR_COUNT, {"reason": reason})
