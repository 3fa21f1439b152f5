"""Searches for flipped bits in rows and pictures that nothing else reads, in small steps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import select

from maskwatch.errors import StoreDamagedError
from maskwatch.store import checksums
from maskwatch.store.database import Database
from maskwatch.store.models import ChangeRow
from maskwatch.store.pictures import StoredPicture, is_altered
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)
_ROWS = 500
_PICTURES = 5


class PictureChecks:
    """Checks pictures before they are used, and remembers which are damaged."""

    def __init__(self, folder: Path, meter: Meter) -> None:
        self._folder = folder
        self._meter = meter
        self._damaged: set[str] = set()
        self._unreported: list[str] = []

    def path(self, stored: StoredPicture | None) -> Path | None:
        """Return the file of a picture; None for none, or if it is not what was written."""
        if stored is None or self._is_damaged(stored):
            return None
        return self._folder / stored.path

    def take_damaged(self) -> list[str]:
        """Return the pictures that were found damaged since the last call, each of them once."""
        found, self._unreported = self._unreported, []
        return found

    def _is_damaged(self, stored: StoredPicture) -> bool:
        try:
            altered = is_altered(self._folder, stored)
        except OSError as error:
            _log.error("the picture %s cannot be read: %s", stored.path, error)
            altered = True
        if altered and stored.path not in self._damaged:
            _log.error("the picture %s is not what was written: it is not sent", stored.path)
            self._meter.add(catalogue.PICTURES, {"fate": "damaged"})
            self._damaged.add(stored.path)
            self._unreported.append(stored.path)
        return altered


def scrub(database: Database, pictures: PictureChecks) -> Iterator[None]:
    """Check every row and every picture, some in each step.

    Raises:
        StoreDamagedError: a row does not match its checksum, or cannot be read.
        StoreError: the database cannot be read now.
    """
    yield from _rows(database)
    yield from _pictures(database, pictures)


def _rows(database: Database) -> Iterator[None]:
    for table in database.read(checksums.tables):
        last: int | None = 0
        while last is not None:
            step = partial(checksums.check_some, table=table, after=last, limit=_ROWS)
            last, altered = database.read(step)
            if altered:
                raise StoreDamagedError(f"{altered} rows of {table} do not match their checksums")
            yield


def _pictures(database: Database, pictures: PictureChecks) -> Iterator[None]:
    last = 0
    with_picture = select(ChangeRow).where(ChangeRow.picture.is_not(None)).order_by(ChangeRow.id)
    while True:
        with database.session() as session:
            rows = session.scalars(with_picture.where(ChangeRow.id > last).limit(_PICTURES)).all()
            found = [(row.id, row.stored_picture) for row in rows]
        if not found:
            return
        for last, stored in found:  # noqa: B007 - the next step begins after the last one
            pictures.path(stored)
        yield
