"""Retention: removes pictures before violations, and violations before occupancy.

A pass consists of slices, each a short transaction and a bounded number of files, so that the
recorder can work between them. Pending deliveries and open violations are kept. Only files whose
names match the pattern of pictures are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from sqlalchemy import delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from maskwatch.config.schema import RetentionConfig
from maskwatch.store.models import (
    ChangeRow,
    IncidentRow,
    OccupancyRow,
    OutboxRow,
    OutboxState,
    ViolationRow,
)
from maskwatch.store.pictures import orphans
from maskwatch.store.queries import used_bytes
from maskwatch.store.space import free_bytes, free_inodes, total_inodes
from maskwatch.store.store import Store

_SLICE = 50  # rows or files removed in one slice
_PAGES = 256  # free pages returned to the disk in one slice
_ORPHAN_AGE = timedelta(hours=1)
_MIB = 1 << 20
# With less than this free (or twice the reserve) the oldest pictures are removed at any age.
_MIN_FREE = 64 * _MIB
# The same for inodes: one in a hundred, but no more than this.
_MAX_MIN_FREE_INODES = 1000

_NEVER = datetime(1, 1, 2, tzinfo=UTC)  # older than everything
_PICTURES = select(ChangeRow.picture).where(ChangeRow.picture.is_not(None))
_OLDEST_MINUTES = select(OccupancyRow.camera, OccupancyRow.zone, OccupancyRow.minute).order_by(
    OccupancyRow.minute
)
# How many items a slice removed, and the names of their pictures.
_Slice = tuple[int, Sequence[str | None]]
_MINUTE_KEY = tuple_(OccupancyRow.camera, OccupancyRow.zone, OccupancyRow.minute)


class _Removable:
    """Statements for what may be removed, oldest first: not open, without pending deliveries."""

    def __init__(self, sinks: Sequence[str]) -> None:
        # Deliveries to a sink that is no longer configured keep nothing.
        pending = exists().where(
            OutboxRow.change_id == ChangeRow.id,
            OutboxRow.state == OutboxState.PENDING.value,
            OutboxRow.sink.in_(sinks),
        )
        still_open = exists().where(
            ViolationRow.id == ChangeRow.violation_id, ViolationRow.ended.is_(None)
        )
        self.pictures = (
            select(ChangeRow)
            .where(ChangeRow.picture.is_not(None), ~pending, ~still_open)
            .order_by(ChangeRow.at, ChangeRow.id)
        )
        self.violations = (
            select(ViolationRow.id, ViolationRow.ended)
            .where(ViolationRow.ended.is_not(None))
            .where(~exists().where(ChangeRow.violation_id == ViolationRow.id, pending))
            .order_by(ViolationRow.started, ViolationRow.id)
        )
        self.incidents = (
            select(IncidentRow.id)
            .where(~exists().where(ChangeRow.incident_id == IncidentRow.id, pending))
            .order_by(IncidentRow.started)
        )


@dataclass(slots=True)
class _Excess:
    """By how many items, and by how many bytes, a limit is exceeded."""

    count: int
    size: int

    def take(self, size: int) -> bool:
        """Count an item of this size as removed; return False if no limit is exceeded."""
        if self.count <= 0 and self.size <= 0:
            return False
        self.count -= 1
        self.size -= size
        return True


class Retention:
    """One pass: iterate over `slices()`, with other work in between.

    Attributes:
        removed: how many items of each kind (picture, violation, occupancy, orphan) were removed,
            or with `dry_run` would be.
    """

    def __init__(
        self,
        store: Store,
        rules: RetentionConfig,
        now: datetime,
        *,
        trust_clock: bool = True,
        dry_run: bool = False,
        free: Callable[[], int] | None = None,
    ) -> None:
        """Prepare a pass.

        `now` is the wall time (UTC) that ages refer to. Without `trust_clock`, after the wall clock
        has jumped, nothing is removed by age. `free` returns the bytes free on the disk.
        """
        self._store = store
        self._rules = rules
        self._removable = _Removable(store.outbox.sinks)
        self._now = now
        self._trust_clock = trust_clock
        self._dry_run = dry_run
        self._free = free or (lambda: free_bytes(store.data_dir.path))
        self.removed = {"picture": 0, "violation": 0, "occupancy": 0, "orphan": 0}

    def slices(self) -> Iterator[None]:
        """Run the pass, one bounded slice per iteration.

        Raises:
            StoreError: the database cannot be used now; start a new pass later.
        """
        yield from self._pass("picture", partial(self._pictures, self._picture_excess()))
        yield from self._pass("violation", self._violations)
        if not self._dry_run:
            yield from self._pass("incident", self._incidents)
        yield from self._pass("occupancy", self._minutes)
        if self._trust_clock:
            yield from self._orphans()
        if not self._dry_run:
            yield from self._vacuum()

    def _before(self, days: float) -> datetime:
        """Return the time before which items are too old."""
        try:
            return self._now - timedelta(days=days) if self._trust_clock else _NEVER
        except OverflowError:
            return _NEVER

    def _pass(self, kind: str, remove: Callable[[Session, int], _Slice]) -> Iterator[None]:
        """Run `remove` in one transaction after another, until it finds less than a slice.

        `remove` gets the number of items that earlier slices left in their place (`dry_run`).
        """
        more, skip = True, 0
        while more:
            with self._store.database.session() as session:
                removed, pictures = remove(session, skip)
            # After the commit, when no row refers to them; after a kill here they are orphans.
            self._unlink(name for name in pictures if name is not None)
            if kind in self.removed:
                self.removed[kind] += removed
            skip += removed if self._dry_run else 0
            more = removed == _SLICE
            yield

    # --- pictures -----------------------------------------------------------------------------------

    def _pictures(self, excess: _Excess, session: Session, skip: int) -> _Slice:
        before = self._before(self._rules.pictures_days)
        oldest = session.scalars(self._removable.pictures.offset(skip).limit(_SLICE)).all()
        chosen = [row for row in oldest if excess.take(row.picture_bytes) or row.at < before]
        names = [row.picture for row in chosen]
        if not self._dry_run:
            ids = ChangeRow.id.in_([row.id for row in chosen])
            nothing = {"picture": None, "picture_bytes": 0, "picture_sha256": None}
            session.execute(update(ChangeRow).where(ids).values(nothing))
        return len(chosen), names

    def _picture_excess(self) -> _Excess:
        with self._store.database.session() as session:
            count = session.scalar(select(func.count()).where(ChangeRow.picture.is_not(None))) or 0
        rules, limit = self._rules, self._rules.max_megabytes * _MIB
        size = self._store.database.used_bytes() + self._store.database.picture_bytes()
        missing = max(_MIN_FREE, 2 * self._store.reserve.target_size) - self._free()
        missing_files = self._missing_files(space_seems_free=missing <= 0)
        return _Excess(
            max(count - rules.max_pictures if rules.max_pictures else 0, missing_files),
            max(size - limit if limit else 0, missing),
        )

    def _missing_files(self, *, space_seems_free: bool) -> int:
        """Return how many files must go, so that others can be created.

        While writes fail although bytes and inodes seem free (a quota), it is a slice in each pass.
        """
        folder, reserve = self._store.data_dir.path, self._store.reserve
        free = free_inodes(folder)
        needed = max(1, min(_MAX_MIN_FREE_INODES, total_inodes(folder) // 100))
        missing = 0 if free is None else needed - free
        if missing <= 0 and space_seems_free and reserve.shortage and not reserve.fill():
            return _SLICE
        return missing

    def _unlink(self, names: Iterable[str]) -> None:
        for name in () if self._dry_run else names:
            path = self._store.data_dir.pictures / name
            path.unlink(missing_ok=True)
            try:
                path.parent.rmdir()
            except OSError:
                continue  # not empty yet

    # --- rows ---------------------------------------------------------------------------------------

    def _violations(self, session: Session, skip: int) -> _Slice:
        before = self._before(self._rules.violations_days)
        excess = self._row_excess(session, skip)
        rows = session.execute(self._removable.violations.offset(skip).limit(_SLICE)).all()
        ids = [row.id for row in rows if excess.take(1) or row.ended < before]
        names = session.scalars(_PICTURES.where(ChangeRow.subject.in_(ids))).all()
        if not self._dry_run:
            session.execute(delete(ViolationRow).where(ViolationRow.id.in_(ids)))
        return len(ids), names

    def _row_excess(self, session: Session, skipped: int) -> _Excess:
        """Return the excess of violations; pictures were removed before."""
        limit = self._rules.max_violations
        count = (session.scalar(select(func.count(ViolationRow.id))) or 0) - skipped if limit else 0
        return _Excess(count - limit, _SLICE if self._rows_too_large(session) else 0)

    def _rows_too_large(self, session: Session) -> bool:
        limit = self._rules.max_megabytes * _MIB
        return not self._dry_run and limit > 0 and used_bytes(session) > limit

    def _incidents(self, session: Session, _: int) -> _Slice:
        """Remove incidents by the same age as violations."""
        before = self._before(self._rules.violations_days)
        too_old = self._removable.incidents.where(IncidentRow.ended < before).limit(_SLICE)
        ids = session.scalars(too_old).all()
        session.execute(delete(IncidentRow).where(IncidentRow.id.in_(ids)))
        return len(ids), ()

    def _minutes(self, session: Session, skip: int) -> _Slice:
        before = self._before(self._rules.occupancy_days)
        excess = _Excess(0, _SLICE if self._rows_too_large(session) else 0)
        rows = session.execute(_OLDEST_MINUTES.offset(skip).limit(_SLICE)).all()
        keys = [tuple(row) for row in rows if excess.take(1) or row.minute < before]
        if not self._dry_run:
            session.execute(delete(OccupancyRow).where(_MINUTE_KEY.in_(keys)))
        return len(keys), ()

    # --- files and pages ----------------------------------------------------------------------------

    def _orphans(self) -> Iterator[None]:
        """Remove files that no row refers to: left by a kill between picture and commit."""
        found = orphans(self._store.data_dir.pictures, self._now - _ORPHAN_AGE)
        while names := list(islice(found, _SLICE)):
            with self._store.database.session() as session:
                stored = set(session.scalars(_PICTURES.where(ChangeRow.picture.in_(names))))
            unreferenced = [name for name in names if name not in stored]
            self._unlink(unreferenced)
            self.removed["orphan"] += len(unreferenced)
            yield

    def _vacuum(self) -> Iterator[None]:
        """Return free pages to the disk."""
        before, free = -1, 0
        while free != before:
            before = free
            free = self._store.database.release_pages(_PAGES)
            yield
