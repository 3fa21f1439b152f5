"""Retention: what is removed, what is kept, and the order."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwatch.config.schema import RetentionConfig
from maskwatch.domain import OccupancyMinute
from maskwatch.store import reserve, retention
from maskwatch.store.queries import Filter, events, read_session
from maskwatch.store.retention import Retention
from maskwatch.store.store import Store
from tests.fakes.samples import JPEG, START, change, deliver, entry, incident, make_store, violation_id

DAY = timedelta(days=1)
PLENTY_FREE = 1 << 40
KEEP_ALL = RetentionConfig(
    pictures_days=36500, violations_days=36500, occupancy_days=36500, max_megabytes=0
)


def fill(store: Store, count: int = 10, *, pictures: bool = True, delivered: bool = True) -> None:
    """Record one closed violation a day, the last one today."""
    store.changes.record(
        [
            entry(
                change(index, closed=True, started=START - (count - 1 - index) * DAY),
                JPEG if pictures else None,
            )
            for index in range(count)
        ]
    )
    if delivered:
        deliver(store, range(count))


def run_retention(store: Store, rules: RetentionConfig, **options: object) -> dict[str, int]:
    """Run a pass one hour after the last violation, with free space on the disk."""
    free = options.pop("free", PLENTY_FREE)
    retention = Retention(
        store, rules, START + timedelta(hours=1), free=lambda: int(str(free)), **options
    )  # type: ignore[arg-type]
    for _ in retention.slices():
        pass
    return {kind: count for kind, count in retention.removed.items() if count}


def kept(store: Store) -> list[int]:
    """The indexes of the violations that remain, oldest first."""
    with read_session(store.data_dir.database) as session:
        return sorted(event.id.int & 0xFFFF for event in events(session, Filter()))


def pictures(store: Store) -> list[Path]:
    return sorted(store.data_dir.pictures.glob("*/*.jpg"))


def test_young_violations_and_pictures_are_kept(store: Store) -> None:
    fill(store)
    assert run_retention(store, KEEP_ALL) == {}
    assert len(kept(store)) == len(pictures(store)) == 10


def test_old_pictures_are_removed_and_their_rows_kept(store: Store) -> None:
    fill(store)
    assert run_retention(store, RetentionConfig(pictures_days=3.5)) == {"picture": 6}
    assert len(pictures(store)) == 4
    assert len(kept(store)) == 10
    assert len(list(store.data_dir.pictures.iterdir())) == 4, "empty folders are removed too"


def test_old_violations_are_removed_with_their_pictures(store: Store) -> None:
    fill(store)
    assert run_retention(store, RetentionConfig(violations_days=3.5)) == {"violation": 6}
    assert kept(store) == [6, 7, 8, 9]
    assert len(pictures(store)) == 4


def test_above_a_maximum_count_the_oldest_are_removed(store: Store) -> None:
    fill(store)
    rules = RetentionConfig(max_pictures=3, max_violations=5)
    assert run_retention(store, rules) == {"picture": 7, "violation": 5}
    assert kept(store) == [5, 6, 7, 8, 9]
    assert len(pictures(store)) == 3


def test_many_violations_are_removed_in_slices(store: Store) -> None:
    fill(store, 180, pictures=False)
    retention = Retention(store, RetentionConfig(violations_days=3.5), START, free=lambda: PLENTY_FREE)
    assert sum(1 for _ in retention.slices()) > 4
    assert retention.removed["violation"] == 176


def test_above_the_maximum_size_pictures_are_removed_before_rows(tmp_path: Path) -> None:
    store = make_store(tmp_path / "data")
    big = JPEG[:3] + os.urandom(400_000)
    store.changes.record([entry(change(index, closed=True), big) for index in range(5)])
    deliver(store, range(5))
    assert run_retention(store, RetentionConfig(max_megabytes=1)) == {"picture": 3}
    assert len(kept(store)) == 5
    store.close()


@pytest.mark.long
def test_above_the_maximum_size_of_rows_the_oldest_violations_are_removed(store: Store) -> None:
    fill(store, 700, pictures=False)
    store.changes.record([], [minute(index) for index in range(100)])
    before = store.database.used_bytes()
    assert before > 1 << 20, "the test needs more than the limit"
    removed = run_retention(store, RetentionConfig(max_megabytes=1, violations_days=1000))
    assert store.database.used_bytes() <= 1 << 20
    assert removed.keys() == {"violation"}, "occupancy is removed last"
    assert kept(store)[-1] == 699


def test_on_a_nearly_full_disk_only_the_oldest_pictures_are_removed(store: Store) -> None:
    fill(store)
    assert run_retention(store, KEEP_ALL, free=(64 << 20) - 2 * len(JPEG)) == {"picture": 2}
    assert len(kept(store)) == 10


def test_undelivered_violations_are_kept_at_any_age(store: Store) -> None:
    fill(store, delivered=False)
    deliver(store, range(1, 10))
    run_retention(store, RetentionConfig(pictures_days=0.1, violations_days=0.1))
    assert kept(store) == [0, 9]
    assert pictures(store)[0].name.startswith(str(violation_id(0)))


def test_deliveries_to_a_removed_sink_keep_no_violation(store: Store) -> None:
    fill(store, delivered=False)
    store.outbox.sinks = ()
    run_retention(store, RetentionConfig(violations_days=3.5))
    assert kept(store) == [6, 7, 8, 9]


def test_an_open_violation_is_kept_at_any_age(store: Store) -> None:
    store.changes.record([entry(change(1, started=START - 1000 * DAY))])
    deliver(store, range(1, 2))
    run_retention(store, RetentionConfig(violations_days=1))
    assert kept(store) == [1]


def minute(index: int) -> OccupancyMinute:
    return OccupancyMinute("door", "", START - index * DAY, 1, 1, 1, 0, 0, 0, 1)


def test_occupancy_is_removed_by_its_own_age(store: Store) -> None:
    store.changes.record([], [minute(index) for index in range(10)])
    assert run_retention(store, RetentionConfig(occupancy_days=3.5)) == {"occupancy": 6}


def test_incidents_are_removed_by_the_age_of_violations(store: Store) -> None:
    store.changes.record([entry(incident(1, ended=START)), entry(incident(2))])
    store.outbox.sinks = ()
    retention = Retention(store, RetentionConfig(violations_days=1), START + 2 * DAY)
    for _ in retention.slices():
        pass
    assert store.state.open_incidents() == [incident(2)]
    with store.database.session() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM incident").scalar() == 1


def test_after_a_clock_jump_nothing_is_removed_by_age(store: Store) -> None:
    fill(store)
    rules = RetentionConfig(pictures_days=1, violations_days=1, max_pictures=8)
    assert run_retention(store, rules, trust_clock=False) == {"picture": 2}


def test_a_dry_run_counts_what_a_pass_removes_and_removes_nothing(store: Store) -> None:
    fill(store, 130)
    rules = RetentionConfig(pictures_days=20.5, violations_days=60.5, max_violations=100)
    counted = run_retention(store, rules, dry_run=True)
    assert len(kept(store)) == len(pictures(store)) == 130
    assert counted == run_retention(store, rules)


@pytest.fixture
def day_folder(store: Store) -> Path:
    """The folder of the day of one stored violation."""
    fill(store, 1)
    return store.data_dir.pictures / f"{START:%Y-%m-%d}"


PICTURE_NAME = f"{violation_id(7)}-1.jpg"
OTHER_NAMES = [
    "holiday.jpg",
    f"{violation_id(7)}-0.jpg",
    f"{violation_id(7)}.jpg",
    ".hidden",
    "a.tmp",
    "x-1.jpg",
]


@pytest.mark.parametrize("name", [PICTURE_NAME, f".{PICTURE_NAME}.tmp"])
def test_an_orphan_older_than_an_hour_is_removed(store: Store, day_folder: Path, name: str) -> None:
    (day_folder / name).write_bytes(JPEG)
    age(day_folder, timedelta(hours=2))
    assert run_retention(store, KEEP_ALL) == {"orphan": 1}
    assert len(pictures(store)) == 1, "the picture of a row is kept"


def test_a_young_orphan_is_kept_because_its_row_may_not_be_committed(
    store: Store, day_folder: Path
) -> None:
    (day_folder / PICTURE_NAME).write_bytes(JPEG)
    age(day_folder, timedelta(minutes=50))
    assert run_retention(store, KEEP_ALL) == {}


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_file_whose_name_does_not_match_the_pattern_is_kept(
    store: Store, day_folder: Path, name: str
) -> None:
    (day_folder / name).write_bytes(JPEG)
    (store.data_dir.pictures / PICTURE_NAME).write_bytes(JPEG)
    (store.data_dir.pictures / "album").mkdir()
    (store.data_dir.pictures / "album" / PICTURE_NAME).write_bytes(JPEG)
    age(day_folder, 400 * DAY)
    assert run_retention(store, KEEP_ALL) == {}


def test_a_symbolic_link_is_not_followed_and_not_removed(
    store: Store, day_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / PICTURE_NAME).write_bytes(JPEG)
    (day_folder / PICTURE_NAME).symlink_to(target / PICTURE_NAME)
    (store.data_dir.pictures / "2020-01-01").symlink_to(target)
    age(target, 400 * DAY)
    assert run_retention(store, KEEP_ALL) == {}
    assert (target / PICTURE_NAME).exists()


def age(folder: Path, length: timedelta) -> None:
    """Set the age of every file in a folder at the time of the pass."""
    then = (START + timedelta(hours=1) - length).timestamp()
    for path in folder.iterdir():
        os.utime(path, (then, then), follow_symlinks=False)


def test_freed_pages_are_returned_to_the_disk(store: Store) -> None:
    fill(store, 400, pictures=False)
    store.database.checkpoint(truncate=True)
    size = store.data_dir.database.stat().st_size
    run_retention(store, RetentionConfig(violations_days=0.5))
    store.database.checkpoint(truncate=True)
    assert store.data_dir.database.stat().st_size < size / 2


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.floats(0.5, 12, allow_nan=False),
    max_violations=st.integers(0, 12),
    undelivered=st.sets(st.integers(0, 9)),
)
def test_any_rules_remove_the_oldest_first_and_nothing_undelivered(
    tmp_path_factory: pytest.TempPathFactory, days: float, max_violations: int, undelivered: set[int]
) -> None:
    store = make_store(tmp_path_factory.mktemp("store"))
    fill(store, delivered=False)
    deliver(store, set(range(10)) - undelivered)
    run_retention(
        store, RetentionConfig(violations_days=days, max_violations=max_violations, max_megabytes=0)
    )
    left = kept(store)
    store.close()
    assert undelivered <= set(left)
    gone = [index for index in range(10) if index not in left]
    removable = [index for index in range(10) if index not in undelivered]
    assert gone == removable[: len(gone)], "the oldest first"
    if max_violations:
        assert len(left) <= max(max_violations, len(undelivered))


def test_the_oldest_pictures_go_when_inodes_run_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "data")
    fill(store)
    monkeypatch.setattr(retention, "total_inodes", lambda _: 1000)
    monkeypatch.setattr(retention, "free_inodes", lambda _: 7)
    newest = pictures(store)[3:]
    assert run_retention(store, KEEP_ALL) == {"picture": 3}
    assert pictures(store) == newest
    monkeypatch.setattr(retention, "free_inodes", lambda _: None)
    assert run_retention(store, KEEP_ALL) == {}, "this file system has no limit"
    store.close()


def test_the_oldest_pictures_go_while_a_quota_is_exceeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "data")
    fill(store, 60)
    store.reserve.report_shortage("the quota")
    with monkeypatch.context() as patch:
        patch.setattr(reserve, "find_shortage", lambda _: "the quota")
        assert run_retention(store, KEEP_ALL) == {"picture": 50}
    assert run_retention(store, KEEP_ALL) == {}, "there is room again"
    assert store.reserve.complete
    store.close()
