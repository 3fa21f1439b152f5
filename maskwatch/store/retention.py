"""What is removed, when, and in which order: pictures before rows, rows before counts per minute.

A pass is cut into slices, each a short transaction and a bounded number of files, so that the
recorder can go on between them. What waits to be delivered, and what is open, is kept. Files are
only looked at if they are named after our own pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from maskwatch.config.schema import RetentionConfig
from maskwatch.store.data_dir import free_bytes
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
from maskwatch.store.store import Store

__all__ = ["Retention"]

_SLICE = 50  # rows or files removed at a time
_PAGES = 256  # freed pages given back at a time
_ORPHAN_AGE = timedelta(hours=1)
_MIB = 1 << 20
# With less than this free (or twice the reserve) the oldest pictures go, however young.
_PRESSURE = 64 * _MIB

_NEVER = datetime(1, 1, 2, tzinfo=UTC)  # nothing is older
_PICTURES = select(ChangeRow.picture).where(ChangeRow.picture.is_not(None))
_OLDEST_MINUTES = select(OccupancyRow.camera, OccupancyRow.zone, OccupancyRow.minute).order_by(
    OccupancyRow.minute
)
_MINUTE_KEY = tuple_(OccupancyRow.camera, OccupancyRow.zone, OccupancyRow.minute)


class _Oldest:
    """Statements for what may be removed, oldest first: not open, nothing of it undelivered."""

    def __init__(self, sinks: Sequence[str]) -> None:
        # What waits for a sink that is configured no longer holds nothing up.
        undelivered = exists().where(
            OutboxRow.change_id == ChangeRow.id,
            OutboxRow.state == OutboxState.PENDING.value,
            OutboxRow.sink.in_(sinks),
        )
        still_open = exists().where(
            ViolationRow.id == ChangeRow.violation_id, ViolationRow.ended.is_(None)
        )
        self.pictures = (
            select(ChangeRow)
            .where(ChangeRow.picture.is_not(None), ~undelivered, ~still_open)
            .order_by(ChangeRow.at, ChangeRow.id)
        )
        self.violations = (
            select(ViolationRow.id, ViolationRow.ended)
            .where(ViolationRow.ended.is_not(None))
            .where(~exists().where(ChangeRow.violation_id == ViolationRow.id, undelivered))
            .order_by(ViolationRow.started, ViolationRow.id)
        )
        self.incidents = (
            select(IncidentRow.id)
            .where(~exists().where(ChangeRow.incident_id == IncidentRow.id, undelivered))
            .order_by(IncidentRow.started)
        )


@dataclass(slots=True)
class _Excess:
    """How much is too much."""

    count: int
    size: int

    def take(self, size: int) -> bool:
        """Take one of this size if there is too much; return whether there was."""
        if self.count <= 0 and self.size <= 0:
            return False
        self.count -= 1
        self.size -= size
        return True


class Retention:
    """One pass: iterate over `slices()`; between two of them anything else may happen.

    `removed` counts by kind (picture, violation, occupancy, orphan) what was removed, or with
    `dry_run` would be.
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

        Args:
            store: the store to be tidied.
            rules: how long and how much is kept.
            now: wall time (UTC) from which ages count.
            trust_clock: False after the wall clock has jumped: nothing is removed for its age.
            dry_run: count only.
            free: returns the bytes free on the disk.

        """
        self._store = store
        self._rules = rules
        self._oldest = _Oldest(store.outbox.sinks)
        self._now = now
        self._trust_clock = trust_clock
        self._dry_run = dry_run
        self._free = free or (lambda: free_bytes(store.data_dir.path))
        self.removed = {"picture": 0, "violation": 0, "occupancy": 0, "orphan": 0}

    def slices(self) -> Iterator[None]:
        """Do the pass, one bounded slice per step.

        Raises:
            StoreError: the database cannot be used now; begin again later.

        """
        yield from self._pictures()
        yield from self._violations()
        yield from self._incidents()
        yield from self._minutes()
        if self._trust_clock:
            yield from self._orphans()
        if not self._dry_run:
            yield from self._vacuum()

    def _before(self, days: float) -> datetime:
        """Return the time before which things are too old."""
        try:
            return self._now - timedelta(days=days) if self._trust_clock else _NEVER
        except OverflowError:
            return _NEVER

    def _step(self, kind: str, done: int) -> bool:
        """Count what a slice removed; return whether there may be more."""
        self.removed[kind] += done
        return done == _SLICE

    # --- pictures -----------------------------------------------------------------------------------

    def _pictures(self) -> Iterator[None]:
        excess = self._picture_excess()
        before = self._before(self._rules.pictures_days)
        more, skip = True, 0
        while more:
            with self._store.database.session() as session:
                oldest = session.scalars(self._oldest.pictures.offset(skip).limit(_SLICE)).all()
                chosen = [row for row in oldest if excess.take(row.picture_bytes) or row.at < before]
                names = [row.picture for row in chosen if row.picture is not None]
                skip += self._forget_pictures(session, chosen)
            # Only now, when no row names them any more; cut short here they are orphans.
            self._unlink(names)
            more = self._step("picture", len(chosen))
            yield

    def _picture_excess(self) -> _Excess:
        with self._store.database.session() as session:
            count = session.scalar(select(func.count()).where(ChangeRow.picture.is_not(None))) or 0
        rules, limit = self._rules, self._rules.max_megabytes * _MIB
        size = self._store.database.used_bytes() + self._store.database.picture_bytes()
        pressed = max(_PRESSURE, 2 * self._store.reserve.target_size) - self._free()
        return _Excess(
            count - rules.max_pictures if rules.max_pictures else 0,
            max(size - limit if limit else 0, pressed),
        )

    def _forget_pictures(self, session: Session, rows: Sequence[ChangeRow]) -> int:
        """Have the rows name no picture; return how many to skip next time."""
        if self._dry_run:
            return len(rows)
        chosen = ChangeRow.id.in_([row.id for row in rows])
        session.execute(update(ChangeRow).where(chosen).values(picture=None, picture_bytes=0))
        return 0

    def _unlink(self, names: Iterable[str]) -> None:
        for name in () if self._dry_run else names:
            path = self._store.data_dir.pictures / name
            path.unlink(missing_ok=True)
            try:
                path.parent.rmdir()
            except OSError:
                continue  # not empty yet

    # --- rows ---------------------------------------------------------------------------------------

    def _violations(self) -> Iterator[None]:
        before = self._before(self._rules.violations_days)
        more, skip = True, 0
        while more:
            with self._store.database.session() as session:
                excess = self._row_excess(session, skip)
                rows = session.execute(self._oldest.violations.offset(skip).limit(_SLICE)).all()
                ids = [row.id for row in rows if excess.take(1) or row.ended < before]
                names = session.scalars(_PICTURES.where(ChangeRow.subject.in_(ids))).all()
                if self._dry_run:
                    skip += len(ids)
                else:
                    session.execute(delete(ViolationRow).where(ViolationRow.id.in_(ids)))
            self._unlink(name for name in names if name is not None)
            more = self._step("violation", len(ids))
            yield

    def _row_excess(self, session: Session, gone: int) -> _Excess:
        """Return how many violations are too many, now that pictures have gone before them."""
        most = self._rules.max_violations
        count = (session.scalar(select(func.count(ViolationRow.id))) or 0) - gone if most else 0
        return _Excess(count - most, _SLICE if self._rows_too_large(session) else 0)

    def _rows_too_large(self, session: Session) -> bool:
        limit = self._rules.max_megabytes * _MIB
        return not self._dry_run and limit > 0 and used_bytes(session) > limit

    def _incidents(self) -> Iterator[None]:
        """Remove incidents as old as violations may be."""
        before = self._before(self._rules.violations_days)
        too_old = self._oldest.incidents.where(IncidentRow.ended < before).limit(_SLICE)
        more = not self._dry_run
        while more:
            with self._store.database.session() as session:
                ids = session.scalars(too_old).all()
                session.execute(delete(IncidentRow).where(IncidentRow.id.in_(ids)))
            more = len(ids) == _SLICE
            yield

    def _minutes(self) -> Iterator[None]:
        before = self._before(self._rules.occupancy_days)
        more, skip = True, 0
        while more:
            with self._store.database.session() as session:
                excess = _Excess(0, _SLICE if self._rows_too_large(session) else 0)
                rows = session.execute(_OLDEST_MINUTES.offset(skip).limit(_SLICE)).all()
                keys = [tuple(row) for row in rows if excess.take(1) or row.minute < before]
                if self._dry_run:
                    skip += len(keys)
                else:
                    session.execute(delete(OccupancyRow).where(_MINUTE_KEY.in_(keys)))
            more = self._step("occupancy", len(keys))
            yield

    # --- files and pages ----------------------------------------------------------------------------

    def _orphans(self) -> Iterator[None]:
        """Sweep files that no row names: left by a kill between picture and commit."""
        found = orphans(self._store.data_dir.pictures, self._now - _ORPHAN_AGE)
        while names := list(islice(found, _SLICE)):
            with self._store.database.session() as session:
                known = set(session.scalars(_PICTURES.where(ChangeRow.picture.in_(names))))
            stray = [name for name in names if name not in known]
            self._unlink(stray)
            self.removed["orphan"] += len(stray)
            yield

    def _vacuum(self) -> Iterator[None]:
        """Give freed pages back to the disk."""
        before, free = -1, 0
        while free != before:
            before = free
            free = self._store.database.release_pages(_PAGES)
            yield
