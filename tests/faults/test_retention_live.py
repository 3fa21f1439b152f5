"""A running daemon removes what its rules no longer keep, and nothing that is not its own."""

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
MANY = 1500
"""Pictures, rows and counts: more than are removed in a good many goes."""
KEPT = 10
"""Counts of the time of those rows, which are kept for longer."""


class Left(NamedTuple):
    """What there is at one moment."""

    pictures: int
    rows: int
    minutes: int


class Keeper:
    """A daemon whose rules a test changes by a reload."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self.daemon = daemon
        self._text = daemon.config.read_text()

    def keep(self, rules: str) -> None:
        """Have the running daemon keep no more than these rules say."""
        self._write(rules)
        done = self.daemon.run("reload", "--wait")
        assert done.returncode == 0, done.stderr

    def would_remove(self, rules: str) -> list[str]:
        """What a dry run beside the running daemon says that these rules would remove."""
        self._write(rules)
        done = self.daemon.run("db prune", "--dry-run")
        assert done.returncode == 0, done.stderr
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    def order(self, rules: str) -> None:
        """Have it keep no more than that, and do not wait."""
        self._write(rules)
        self.daemon.process.send_signal(signal.SIGHUP)

    def left(self) -> Left:
        """What the database holds, in one look: nothing is removed meanwhile."""
        pictures = "(SELECT count(*) FROM change WHERE picture IS NOT NULL)"
        rows, minutes = ("(SELECT count(*) FROM violation)", "(SELECT count(*) FROM occupancy)")
        path = self.daemon.data / "maskwatch.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return Left(*database.execute(f"SELECT {pictures}, {rows}, {minutes}").fetchone())

    def _write(self, rules: str) -> None:
        self.daemon.config.write_text(self._text.replace(KEEP_ALL, f"{rules}, interval: 0.5"))

    def pictures(self) -> list[int]:
        """The indexes of the sample violations of which there is a picture."""
        found = (self.daemon.data / "pictures").rglob("*.jpg")
        return sorted(int(path.name[24:36], 16) for path in found)

    def stands(self) -> tuple[list[int], list[int]]:
        """Those with a picture, and those in the database."""
        with read_session(self.daemon.data / "maskwatch.db") as session:
            rows = sorted(event.id.int & 0xFFFF for event in events(session, Filter()))
        return self.pictures(), rows


@contextmanager
def keeping(daemon: QuickDaemon) -> Iterator[Keeper]:
    """Run a daemon that keeps everything until it is told otherwise."""
    text = daemon.config.read_text()
    rules = f"store: {{reserve_megabytes: 1, retention: {{{KEEP_ALL}}}}}"
    daemon.config.write_text(text.replace("store: {reserve_megabytes: 1}", rules))
    with daemon:
        wait_started(daemon)
        yield Keeper(daemon)
        assert daemon.stop() == 0


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with keeping(QuickDaemon(tmp_path, IDLE_CAMERA)) as keeper:
        yield keeper


@pytest.mark.long
def test_retention_removes_the_oldest_first_and_keeps_what_is_open(
    keeper: Keeper,
) -> None:
    daemon = keeper.daemon
    hours = (100, 50, 40, 30, 20, 10, 9, 8, 7, 6)
    with daemon.connect_worker("door") as worker:
        worker.send(change(OPEN, started=datetime.now(UTC) - 200 * HOUR), JPEG)
        for index, age in enumerate(hours):
            started = datetime.now(UTC) - age * HOUR
            worker.send(change(index, started=started, closed=True), JPEG + bytes(MIB // 4))
        worker.wait(1 + len(hours))
        assert keeper.stands() == ([*range(10), OPEN], [*range(10), OPEN])

        keeper.keep("pictures_days: 1.5, violations_days: 3")
        wait_until(
            lambda: keeper.stands() == ([*range(3, 10), OPEN], [*range(1, 10), OPEN]), 30, "by age"
        )

        by_count = "max_pictures: 6, max_violations: 7"
        said = keeper.would_remove(by_count)
        assert {"2 pictures would be removed", "3 violations would be removed"} <= set(said)
        assert keeper.stands() == ([*range(3, 10), OPEN], [*range(1, 10), OPEN]), "nothing went"
        keeper.keep(by_count)
        wait_until(
            lambda: keeper.stands() == ([*range(5, 10), OPEN], [*range(4, 10), OPEN]), 30, "by count"
        )

        keeper.keep("max_megabytes: 1")
        wait_until(lambda: len(keeper.pictures()) < 6, 30, "by size")
        began = time.time()
        wait_until(lambda: daemon.metric(LAST_SUCCESS) > began, 30, "a pass is complete")
        pictures, violations = keeper.stands()
        assert pictures == [*range(11 - len(pictures), 10), OPEN], "the oldest went"
        assert len(pictures) > 2, "and no more than had to"
        assert violations == [*range(4, 10), OPEN]

        removed = "maskwatch_retention_removed_total"
        wait_until(lambda: daemon.metric(removed, kind="violation") == 4, 20, "they are counted")
        assert daemon.metric(removed, kind="picture") == 5 + 6 - len(pictures)


@pytest.mark.long
def test_only_files_named_like_pictures_are_swept_and_only_after_an_hour(keeper: Keeper) -> None:
    day = keeper.daemon.data / "pictures" / "2020-01-01"
    other = day.with_name("2020-01-01 copy")
    outside = keeper.daemon.folder / "somebody's.jpg"
    ours, near = f"{violation_id(7)}-1.jpg", f"{violation_id(8)}"
    swept = [day / ours, day / f".{ours}.tmp"]
    young = day / f"{near}-2.jpg"
    foreign = [
        outside,
        other / ours,
        day / "holiday.jpg",
        day / f"{near}-0.jpg",
        day / f"{near}-1.jpeg",
        day / f"{near.upper()}-1.jpg",
        day.parent / ours,
        keeper.daemon.data / "notes.txt",
    ]
    day.mkdir()
    other.mkdir()
    for path in (*swept, young, *foreign):
        path.write_bytes(JPEG)
    link = day / f"{near}-3.jpg"
    link.symlink_to(outside)
    long_ago = time.time() - 2 * HOUR.total_seconds()
    for path in (*swept, *foreign):
        os.utime(path, (long_ago, long_ago))
    os.utime(link, (long_ago, long_ago), follow_symlinks=False)

    wait_until(lambda: not any(path.exists() for path in swept), 60, "strays are swept")
    began = time.time()
    wait_until(lambda: keeper.daemon.metric(LAST_SUCCESS) > began, 30, "another pass is complete")
    assert young.exists()
    assert link.is_symlink()
    assert [path for path in foreign if path.read_bytes() != JPEG] == []
    wait_until(
        lambda: keeper.daemon.metric("maskwatch_retention_removed_total", kind="orphan") == 2,
        20,
        "they are counted",
    )


def fill(data: Path, now: datetime) -> None:
    """Three days ago there were many visits; people were counted then, and more the day before."""
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
    for first in range(0, MANY, 500):
        indexes = range(first, min(MANY, first + 500))
        store.changes.record([entry(change(i, started=long_ago, closed=True), JPEG) for i in indexes])
    store.close()


@pytest.mark.long
def test_a_long_retention_pass_goes_in_order_while_alerts_are_recorded(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    daemon = QuickDaemon(tmp_path, IDLE_CAMERA)
    fill(daemon.data, now)
    everything, in_the_end = Left(MANY, MANY, MANY + KEPT), Left(0, 0, KEPT)
    looks = [everything]
    with keeping(daemon) as keeper, daemon.connect_worker("door") as worker:
        assert keeper.left() == everything
        keeper.order("pictures_days: 2, violations_days: 2, occupancy_days: 3.5")
        while looks[-1] != in_the_end:
            worker.send(change(MANY + len(looks), started=now, closed=True))
            recorded = len(worker.wait(len(looks), 60))
            pictures, rows, minutes = keeper.left()
            looks.append(Left(pictures, rows - recorded, minutes))
        for pictures, rows, minutes in looks:
            assert pictures == 0 or rows == MANY, "pictures go before rows"
            assert rows == 0 or minutes == MANY + KEPT, "rows go before counts"
        assert len(set(looks) - {everything, in_the_end}) > 1, (
            "between two looks of these an alert was sent, and was acknowledged"
        )
        removed = "maskwatch_retention_removed_total"
        for kind in ("picture", "violation", "occupancy"):
            wait_until(lambda k=kind: daemon.metric(removed, kind=k) == MANY, 30, f"each {kind} counts")
        assert keeper.pictures() == []
        assert keeper.left() == Left(0, recorded, KEPT), "what is young stays, and counts outlive rows"
