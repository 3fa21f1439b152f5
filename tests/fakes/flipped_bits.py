"""A small data directory of every kind of content, and what a flipped bit in it leads to.

`python -m tests.fakes.flipped_bits 400` prints the table of docs/limits.md.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from maskwatch.clock import SystemClock
from maskwatch.domain import OccupancyMinute, Snooze
from maskwatch.errors import StoreError
from maskwatch.store.data_dir import DataDir
from maskwatch.store.store import open_store
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import JPEG, START, change, deliver, entry, incident, make_store, violation_id

_PAGE = 4096
_CHECKED = ("violation", "incident", "change", "outbox", "attempt", "snooze", "occupancy")
Rows = dict[str, set[tuple[object, ...]]]


class Outcome(StrEnum):
    """What the next start does about a flipped bit."""

    HARMLESS = "harmless"  # every row is as before
    FOUND = "found"  # reported; what remains is as before
    SILENT = "silent"  # something is altered or missing, and nothing is reported
    SPREAD = "spread"  # reported, but altered contents remain or would be sent


def make_sample(folder: Path, *, killed: bool = False) -> None:
    """Fill a data directory with every kind of row and page; `killed` leaves the last ones in a -wal."""
    store = make_store(folder)
    store.changes.record([entry(change(100 + index), JPEG) for index in range(40)])
    with store.database.session() as session:  # their pages are free now
        session.connection().exec_driver_sql("DELETE FROM violation")
    long = replace(incident(), reason="no route to the camera; " * 300)  # on overflow pages
    for index in range(1, 13):
        store.changes.record([entry(change(index), JPEG)])
        store.changes.record([entry(change(index, 2, closed=True))])
    store.changes.record([entry(long), entry(change(20))])
    deliver(store, range(1, 7))
    store.acknowledgements.add(violation_id(3), "guard")
    store.snoozes.begin(Snooze("yard", START, START + timedelta(days=30)))
    minutes = [OccupancyMinute("door", "hall", START + timedelta(minutes=m), *[m] * 7) for m in range(9)]
    store.changes.record([], minutes)
    if not killed:
        store.close()
        return
    store.database.checkpoint(truncate=True)
    for index in range(30, 36):
        store.changes.record([entry(change(index), JPEG)])
    live = folder.with_name("live")
    folder.rename(live)
    shutil.copytree(live, folder)
    store.close()
    shutil.rmtree(live)


def flip(file: Path, bit: int) -> None:
    """Flip one bit; the first of a file is 0."""
    with file.open("r+b") as opened:
        [byte] = os.pread(opened.fileno(), 1, bit // 8)
        os.pwrite(opened.fileno(), bytes([byte ^ (1 << bit % 8)]), bit // 8)


def page_kinds(database: Path) -> dict[int, str]:
    """Return whether each page (from 0) belongs to a table or an index; others are free or maps."""
    with closing(sqlite3.connect(database)) as connection:
        indexes = {
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='index'")
        }
        pages = connection.execute("SELECT pageno, name FROM dbstat").fetchall()
    return {page - 1: "index" if name in indexes else "table" for page, name in pages}


def stored(database: Path) -> Rows:
    """Return all rows, without what a repair sets."""
    with closing(sqlite3.connect(database)) as connection:
        return {table: set(_rows(connection, table)) for table in _CHECKED}


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    cursor = connection.execute(f"SELECT rowid, * FROM {table}")
    names = [column[0] for column in cursor.description]
    skipped = {"checksum"} if table not in {"violation", "incident"} else {"checksum", "rowid"}
    for row in cursor:
        yield tuple(value for name, value in zip(names, row, strict=True) if name not in skipped)


def start(folder: Path, sound: Rows) -> Outcome:
    """Start with a damaged directory; `sound` are the rows of the sound one. Return what came of it."""
    data_dir = DataDir(folder)
    try:
        store, repair = open_store(
            data_dir, sinks=("mqtt",), reserve_bytes=0, clock=SystemClock(), meter=Meter()
        )
    except StoreError:
        return Outcome.FOUND
    with closing(store):
        waiting = store.outbox.waiting("mqtt", 500)
    found = stored(data_dir.database)
    if repair is None:
        return Outcome.HARMLESS if found == sound else Outcome.SILENT
    bodies = {value for row in sound["change"] for value in row}
    sent = {msgspec.json.encode(each.subject).decode() for each in waiting}
    spread = found["change"] - sound["change"] or sent - bodies
    return Outcome.SPREAD if spread else Outcome.FOUND


def measure(name: str, count: int) -> Counter[tuple[str, Outcome]]:
    """Flip random bits of a file of the sample, one at a time; count the outcomes by kind of page."""
    counted: Counter[tuple[str, Outcome]] = Counter()
    chance = random.Random(count)
    with tempfile.TemporaryDirectory() as scratch:
        sample, sound, flipped = (Path(scratch) / part for part in ("sample", "sound", "flipped"))
        make_sample(sample, killed=name.endswith("-wal"))
        shutil.copytree(sample, sound)
        make_store(sound).close()
        rows, kinds = stored(sound / "maskwatch.db"), page_kinds(sound / "maskwatch.db")
        for _ in range(count):
            bit = chance.randrange(8 * (sample / name).stat().st_size)
            shutil.copytree(sample, flipped)
            flip(flipped / name, bit)
            kind = "wal" if name.endswith("-wal") else kinds.get(bit // 8 // _PAGE, "free or map")
            counted[kind, start(flipped, rows)] += 1
            shutil.rmtree(flipped)
    return counted


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    for file in ("maskwatch.db", "maskwatch.db-wal"):
        for (kind, outcome), number in sorted(measure(file, int(sys.argv[1])).items()):
            sys.stdout.write(f"{kind:<12} {outcome:<10} {number:>6}\n")
