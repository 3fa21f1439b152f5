"""A running daemon removes what its rules no longer keep, and no foreign files."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from maskwatch.domain import OccupancyMinute
from maskwatch.store.queries import Filter, events, read_session
from tests.fakes.full_disk import MIB
from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon, wait_started
from tests.fakes.samples import JPEG, change, entry, make_store, violation_id
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
OPEN = 99
LAST_SUCCESS = "maskwatch_retention_last_success_timestamp_seconds"
KEEP_ALL = "pictures_days: 9, violations_days: 9, interval: 0.5"
MANY = 600
"""Pictures, rows and counts: more than several batches of a retention pass."""
KEPT = 10
"""Counts of the same time as the rows, which are kept longer."""


class StoredCounts(NamedTuple):
    """How many of each kind are stored at one moment."""

    pictures: int
    rows: int
    minutes: int


class Harness:
    """A daemon whose retention a test changes by a reload."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self.daemon = daemon
        self._text = daemon.config.read_text()

    def apply(self, rules: str) -> None:
        """Reload with these retention rules."""
        self._write(rules)
        done = self.daemon.run("reload", "--wait")
        assert done.returncode == 0, done.stderr

    def dry_run(self, rules: str) -> list[str]:
        """Return the lines of a dry run with these rules beside the running daemon."""
        self._write(rules)
        done = self.daemon.run("db prune", "--dry-run")
        assert done.returncode == 0, done.stderr
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    def request(self, rules: str) -> None:
        """Request a reload with these rules, without waiting."""
        self._write(rules)
        self.daemon.process.send_signal(signal.SIGHUP)

    def counts(self) -> StoredCounts:
        """Count in one transaction, so that no removal is in between."""
        pictures = "(SELECT count(*) FROM change WHERE picture IS NOT NULL)"
        rows, minutes = ("(SELECT count(*) FROM violation)", "(SELECT count(*) FROM occupancy)")
        path = self.daemon.data / "maskwatch.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return StoredCounts(*database.execute(f"SELECT {pictures}, {rows}, {minutes}").fetchone())

    def _write(self, rules: str) -> None:
        self.daemon.config.write_text(self._text.replace(KEEP_ALL, f"{rules}, interval: 0.5"))

    def pictures(self) -> list[int]:
        """Return the indexes of the sample violations that have a picture."""
        found = (self.daemon.data / "pictures").rglob("*.jpg")
        return sorted(int(path.name[24:36], 16) for path in found)

    def stored(self) -> tuple[list[int], list[int]]:
        """Return the indexes of violations with a picture, and of those in the database."""
        with read_session(self.daemon.data / "maskwatch.db") as session:
            rows = sorted(event.id.int & 0xFFFF for event in events(session, Filter()))
        return self.pictures(), rows


@contextmanager
def run_harness(daemon: QuickDaemon) -> Iterator[Harness]:
    """Run a daemon that keeps everything until a test changes its rules."""
    text = daemon.config.read_text()
    rules = f"store: {{reserve_megabytes: 1, retention: {{{KEEP_ALL}}}}}"
    daemon.config.write_text(text.replace("store: {reserve_megabytes: 1}", rules))
    with daemon:
        wait_started(daemon)
        yield Harness(daemon)
        assert daemon.stop() == 0


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with run_harness(QuickDaemon(tmp_path, IDLE_CAMERA)) as harness:
        yield harness


@pytest.mark.long
def test_retention_removes_the_oldest_first_and_keeps_what_is_open(
    harness: Harness,
) -> None:
    daemon = harness.daemon
    hours = (100, 50, 40, 30, 20, 10, 9, 8, 7, 6)
    with daemon.connect_worker("door") as worker:
        worker.send(change(OPEN, started=datetime.now(UTC) - 200 * HOUR), JPEG)
        for index, age in enumerate(hours):
            started = datetime.now(UTC) - age * HOUR
            worker.send(change(index, started=started, closed=True), JPEG + bytes(MIB // 4))
        worker.wait(1 + len(hours))
        assert harness.stored() == ([*range(10), OPEN], [*range(10), OPEN])

        harness.apply("pictures_days: 1.5, violations_days: 3")
        wait_until(
            lambda: harness.stored() == ([*range(3, 10), OPEN], [*range(1, 10), OPEN]), 30, "by age"
        )

        by_count = "max_pictures: 6, max_violations: 7"
        printed = harness.dry_run(by_count)
        assert {"2 pictures would be removed", "3 violations would be removed"} <= set(printed)
        assert harness.stored() == ([*range(3, 10), OPEN], [*range(1, 10), OPEN]), "nothing is removed"
        harness.apply(by_count)
        wait_until(
            lambda: harness.stored() == ([*range(5, 10), OPEN], [*range(4, 10), OPEN]), 30, "by count"
        )

        harness.apply("max_megabytes: 1")
        wait_until(lambda: len(harness.pictures()) < 6, 30, "by size")
        began = time.time()
        wait_until(lambda: daemon.metric(LAST_SUCCESS) > began, 30, "a pass is complete")
        pictures, violations = harness.stored()
        assert pictures == [*range(11 - len(pictures), 10), OPEN], "the oldest are removed"
        assert len(pictures) > 2, "no more than needed are removed"
        assert violations == [*range(4, 10), OPEN]

        removed = "maskwatch_retention_removed_total"
        wait_until(lambda: daemon.metric(removed, kind="violation") == 4, 20, "they are counted")
        assert daemon.metric(removed, kind="picture") == 5 + 6 - len(pictures)


@pytest.mark.long
def test_only_files_named_like_pictures_are_swept_and_only_after_an_hour(
    harness: Harness,
) -> None:
    day = harness.daemon.data / "pictures" / "2020-01-01"
    other = day.with_name("2020-01-01 copy")
    outside = harness.daemon.folder / "outside.jpg"
    name, similar = f"{violation_id(7)}-1.jpg", f"{violation_id(8)}"
    swept = [day / name, day / f".{name}.tmp"]
    young = day / f"{similar}-2.jpg"
    foreign = [
        outside,
        other / name,
        day / "holiday.jpg",
        day / f"{similar}-0.jpg",
        day / f"{similar}-1.jpeg",
        day / f"{similar.upper()}-1.jpg",
        day.parent / name,
        harness.daemon.data / "notes.txt",
    ]
    day.mkdir()
    other.mkdir()
    for path in (*swept, young, *foreign):
        path.write_bytes(JPEG)
    link = day / f"{similar}-3.jpg"
    link.symlink_to(outside)
    long_ago = time.time() - 2 * HOUR.total_seconds()
    for path in (*swept, *foreign):
        os.utime(path, (long_ago, long_ago))
    os.utime(link, (long_ago, long_ago), follow_symlinks=False)

    wait_until(lambda: not any(path.exists() for path in swept), 60, "strays are swept")
    began = time.time()
    wait_until(lambda: harness.daemon.metric(LAST_SUCCESS) > began, 30, "another pass is complete")
    assert young.exists()
    assert link.is_symlink()
    assert [path for path in foreign if path.read_bytes() != JPEG] == []
    wait_until(
        lambda: harness.daemon.metric("maskwatch_retention_removed_total", kind="orphan") == 2,
        20,
        "they are counted",
    )


def fill(data: Path, now: datetime) -> None:
    """Store violations and counts of three days ago, and more counts of the day before."""
    store = make_store(data, sinks=())
    long_ago = now - timedelta(days=3)
    earlier = long_ago - timedelta(days=1)
    counted = [
        *(earlier - i * MINUTE for i in range(MANY)),
        *(long_ago - i * MINUTE for i in range(KEPT)),
    ]
    store.changes.record(
        [], [OccupancyMinute("door", "", minute, 1, 1, 1, 0, 0, 0, 1) for minute in counted]
    )
    for first in range(0, MANY, 200):
        indexes = range(first, min(MANY, first + 200))
        store.changes.record([entry(change(i, started=long_ago, closed=True), JPEG) for i in indexes])
    store.close()


@pytest.mark.long
@pytest.mark.sweep
def test_a_long_retention_pass_goes_in_order_while_alerts_are_recorded(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    daemon = QuickDaemon(tmp_path, IDLE_CAMERA)
    fill(daemon.data, now)
    everything, in_the_end = StoredCounts(MANY, MANY, MANY + KEPT), StoredCounts(0, 0, KEPT)
    looks = [everything]
    with run_harness(daemon) as harness, daemon.connect_worker("door") as worker:
        assert harness.counts() == everything
        harness.request("pictures_days: 2, violations_days: 2, occupancy_days: 3.5")
        while looks[-1] != in_the_end:
            worker.send(change(MANY + len(looks), started=now, closed=True))
            recorded = len(worker.wait(len(looks), 60))
            pictures, rows, minutes = harness.counts()
            looks.append(StoredCounts(pictures, rows - recorded, minutes))
        for pictures, rows, minutes in looks:
            assert pictures == 0 or rows == MANY, "pictures go before rows"
            assert rows == 0 or minutes == MANY + KEPT, "rows go before counts"
        assert len(set(looks) - {everything, in_the_end}) > 1, "alerts are stored during the pass"
        removed = "maskwatch_retention_removed_total"
        for kind in ("picture", "violation", "occupancy"):
            wait_until(lambda k=kind: daemon.metric(removed, kind=k) == MANY, 30, f"each {kind} counts")
        assert harness.pictures() == []
        assert harness.counts() == StoredCounts(0, recorded, KEPT), "recent rows and kept counts stay"
