"""Collects changes and counts, commits them together, and only then acknowledges them.

What the store cannot take is never lost here: locked or failing, it stays and is tried again, and
no more is read meanwhile; on a full disk, or when that lasts, it moves to memory and is acknowledged
as not stored.
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
_RETRY_HELD = 1.0  # when a batch from memory comes first, which takes a moment
_PATIENCE = 10.0  # seconds of a lock, or of failing, after which people are told from memory
_SETTLE = 5.0  # most seconds for everything that waits, well within those of a heartbeat


@dataclass(frozen=True, slots=True)
class _Item:
    entry: Entry
    acknowledge: Acknowledge


class Intake:
    """What waits to be committed."""

    def __init__(
        self,
        memory: UnstoredBuffer,
        standing: CurrentState,
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
        self._troubled_since = 0.0
        self.trouble = ""

    @property
    def full(self) -> bool:
        """Whether no more should be read from workers before the next commit."""
        return len(self._items) >= _BATCH

    @property
    def pressing(self) -> bool:
        """Whether more waits that can be committed right now."""
        return bool(self._items or self._memory) and not self.trouble

    @property
    def blocked(self) -> bool:
        """Whether the database cannot be used now: each try would only keep everybody waiting."""
        return self.trouble in {"locked", "io"}

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
        if self.empty and not self._memory:
            return False
        if self._clock.monotonic() < self._retry_at:
            return self._to_memory()
        try:
            self._store_batch(store)
        except StoreDamagedError:
            self._count("damaged")
            raise
        except StoreError as error:
            self._later(error)
            return self._to_memory()
        self.trouble = ""
        return True

    def commit_all(self, store: Store) -> None:
        """Store everything that waits, if that can be done now and soon; raises as `commit`."""
        deadline = self._clock.monotonic() + _SETTLE
        while self.commit(store) and self.pressing and self._clock.monotonic() < deadline:
            pass

    def _store_batch(self, store: Store) -> None:
        """Store what is in memory, which came first, and only with the last of it what waits here."""
        remembered = self._memory.entries()[:_BATCH]
        items = self._items[: _BATCH - len(remembered)] if len(remembered) == len(self._memory) else []
        receipts = store.record([*remembered, *(item.entry for item in items)], self._minutes)
        if remembered:
            _log.warning("%d changes that were held in memory are stored now", len(remembered))
        self._memory.forget(remembered)
        self._minutes.clear()
        del self._items[: len(items)]
        for entry, receipt in zip(remembered, receipts, strict=False):
            if receipt is Receipt.STORED:
                self._recorded(entry)
        self._acknowledge(items, receipts[len(remembered) :])

    def _acknowledge(self, items: Sequence[_Item], receipts: Sequence[Receipt]) -> None:
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
        self._stands(entry)
        self._recorded(entry)

    def _recorded(self, entry: Entry) -> None:
        subject = entry.subject
        kind = change_kind(subject).value
        self._meter.add(catalogue.CHANGES_RECORDED, {"change": kind})
        if isinstance(subject, Incident) and subject.number == 1:
            self._meter.add(catalogue.INCIDENTS, {"kind": subject.kind.value})

    def _stands(self, entry: Entry) -> None:
        self._standing.subject(entry.subject, silent=entry.silent)
        if entry.silent and isinstance(entry.subject, Change):
            camera = entry.subject.violation.camera
            self._meter.add(catalogue.CHANGES_SILENCED, {"camera": camera})

    def _to_memory(self) -> bool:
        """Have people told of what the store cannot take: on a full disk at once, else if it lasts."""
        lasting = self._clock.monotonic() - self._troubled_since >= _PATIENCE
        if self.trouble != "full" and not (self.trouble and lasting):
            return False
        entries = [item.entry for item in self._items]
        if not entries or not self._memory.room_for(entries):
            return False
        items, self._items = self._items, []
        self._memory.keep(entries)
        for item in items:
            self._stands(item.entry)
            item.acknowledge(False)  # noqa: FBT003 - the one argument of a callback
        return True

    def _later(self, error: StoreError) -> None:
        reason = _reason(error)
        self._count(reason)
        now = self._clock.monotonic()
        self._retry_at = now + (_RETRY_HELD if self._memory else _RETRY)
        if not self.trouble:
            self._troubled_since = now
        if self.trouble != reason:  # once per trouble, not once per attempt
            _log.error("%s; trying again", error)
        self.trouble = reason

    def _count(self, reason: str) -> None:
        self._meter.add(catalogue.STORE_ERROR_COUNT, {"reason": reason})


def _reason(error: StoreError) -> str:
    match error:
        case DiskFullError():
            return "full"
        case StoreBusyError():
            return "locked"
    return "io"
