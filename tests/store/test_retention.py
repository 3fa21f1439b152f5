"""What retention removes, what it keeps, and in which order."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwatch.config.schema import RetentionConfig
from maskwatch.domain import OccupancyMinute
from maskwatch.store.models import OutboxState
from maskwatch.store.outbox import DeliveryResult
from maskwatch.store.queries import Filter, events, read_session
from maskwatch.store.retention import Retention
from maskwatch.store.store import Store
from tests.fakes.samples import JPEG, START, change, entry, incident, make_store, violation_id

DAY = timedelta(days=1)
PLENTY = 1 << 40
FOREVER = RetentionConfig(
    pictures_days=36500, violations_days=36500, occupancy_days=36500, max_megabytes=0
)


def fill(store: Store, count: int = 10, *, pictures: bool = True, delivered: bool = True) -> None:
    """One closed violation a day, the last one today."""
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


def deliver(store: Store, indexes: range) -> None:
    store.outbox.store_results(
        [
            DeliveryResult(
                "mqtt", violation_id(index), 1, OutboxState.DELIVERED, 1, START, START, "accepted"
            )
            for index in indexes
        ]
    )


def tidy(store: Store, rules: RetentionConfig, **options: object) -> dict[str, int]:
    """Do a whole pass at noon of the last violation's day, with room on the disk."""
    free = options.pop("free", PLENTY)
    retention = Retention(
        store, rules, START + timedelta(hours=1), free=lambda: int(str(free)), **options
    )  # type: ignore[arg-type]
    for _ in retention.slices():
        pass
    return {kind: count for kind, count in retention.removed.items() if count}


def kept(store: Store) -> list[int]:
    """The indexes of the violations that are left, oldest first."""
    with read_session(store.data_dir.database) as session:
        return sorted(event.id.int & 0xFFFF for event in events(session, Filter()))


def pictures(store: Store) -> list[Path]:
    return sorted(store.data_dir.pictures.glob("*/*.jpg"))


def test_what_is_young_stays(store: Store) -> None:
    fill(store)
    assert tidy(store, FOREVER) == {}
    assert len(kept(store)) == len(pictures(store)) == 10


def test_pictures_go_by_age_and_their_rows_stay(store: Store) -> None:
    fill(store)
    assert tidy(store, RetentionConfig(pictures_days=3.5)) == {"picture": 6}
    assert len(pictures(store)) == 4
    assert len(kept(store)) == 10
    assert len(list(store.data_dir.pictures.iterdir())) == 4, "empty folders go too"


def test_violations_go_by_age_with_their_pictures(store: Store) -> None:
    fill(store)
    assert tidy(store, RetentionConfig(violations_days=3.5)) == {"violation": 6}
    assert kept(store) == [6, 7, 8, 9]
    assert len(pictures(store)) == 4


def test_the_oldest_go_when_there_are_too_many(store: Store) -> None:
    fill(store)
    rules = RetentionConfig(max_pictures=3, max_violations=5)
    assert tidy(store, rules) == {"picture": 7, "violation": 5}
    assert kept(store) == [5, 6, 7, 8, 9]
    assert len(pictures(store)) == 3


def test_many_are_removed_in_slices(store: Store) -> None:
    fill(store, 180, pictures=False)
    retention = Retention(store, RetentionConfig(violations_days=3.5), START, free=lambda: PLENTY)
    assert sum(1 for _ in retention.slices()) > 4
    assert retention.removed["violation"] == 176


def test_with_too_many_bytes_pictures_go_before_rows(tmp_path: Path) -> None:
    store = make_store(tmp_path / "data")
    big = JPEG[:3] + os.urandom(400_000)
    store.changes.record([entry(change(index, closed=True), big) for index in range(5)])
    deliver(store, range(5))
    assert tidy(store, RetentionConfig(max_megabytes=1)) == {"picture": 3}
    assert len(kept(store)) == 5
    store.close()


def test_with_too_many_bytes_of_rows_the_oldest_violations_go(store: Store) -> None:
    fill(store, 700, pictures=False)
    store.changes.record([], [minute(index) for index in range(100)])
    before = store.database.used_bytes()
    assert before > 1 << 20, "the test needs more than the limit"
    removed = tidy(store, RetentionConfig(max_megabytes=1, violations_days=1000))
    assert store.database.used_bytes() <= 1 << 20
    assert removed.keys() == {"violation"}, "counts per minute go last"
    assert kept(store)[-1] == 699


def test_a_nearly_full_disk_costs_the_oldest_pictures_only(store: Store) -> None:
    fill(store)
    assert tidy(store, FOREVER, free=(64 << 20) - 2 * len(JPEG)) == {"picture": 2}
    assert len(kept(store)) == 10


def test_what_waits_to_be_delivered_is_kept_whatever_its_age(store: Store) -> None:
    fill(store, delivered=False)
    deliver(store, range(1, 10))
    tidy(store, RetentionConfig(pictures_days=0.1, violations_days=0.1))
    assert kept(store) == [0, 9]
    assert pictures(store)[0].name.startswith(str(violation_id(0)))


def test_what_waits_for_a_sink_that_is_gone_is_not_kept_for_ever(store: Store) -> None:
    fill(store, delivered=False)
    store.outbox.sinks = ()
    tidy(store, RetentionConfig(violations_days=3.5))
    assert kept(store) == [6, 7, 8, 9]


def test_an_open_violation_is_kept_whatever_its_age(store: Store) -> None:
    store.changes.record([entry(change(1, started=START - 1000 * DAY))])
    deliver(store, range(1, 2))
    tidy(store, RetentionConfig(violations_days=1))
    assert kept(store) == [1]


def minute(index: int) -> OccupancyMinute:
    return OccupancyMinute("door", "", START - index * DAY, 1, 1, 1, 0, 0, 0, 1)


def test_counts_per_minute_go_by_their_own_age(store: Store) -> None:
    store.changes.record([], [minute(index) for index in range(10)])
    assert tidy(store, RetentionConfig(occupancy_days=3.5)) == {"occupancy": 6}


def test_old_incidents_go_with_old_violations(store: Store) -> None:
    store.changes.record([entry(incident(1, ended=START)), entry(incident(2))])
    store.outbox.sinks = ()
    retention = Retention(store, RetentionConfig(violations_days=1), START + 2 * DAY)
    for _ in retention.slices():
        pass
    assert store.state.open_incidents() == [incident(2)]
    with store.database.session() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM incident").scalar() == 1


def test_after_a_jump_of_the_clock_nothing_is_removed_for_its_age(store: Store) -> None:
    fill(store)
    rules = RetentionConfig(pictures_days=1, violations_days=1, max_pictures=8)
    assert tidy(store, rules, trust_clock=False) == {"picture": 2}


def test_a_dry_run_counts_what_a_pass_removes_and_removes_nothing(store: Store) -> None:
    fill(store, 130)
    rules = RetentionConfig(pictures_days=20.5, violations_days=60.5, max_violations=100)
    would = tidy(store, rules, dry_run=True)
    assert len(kept(store)) == len(pictures(store)) == 130
    assert would == tidy(store, rules)


@pytest.fixture
def swept(store: Store) -> Path:
    """A folder of a day, in which every file looks two hours old before the sweep."""
    fill(store, 1)
    return store.data_dir.pictures / f"{START:%Y-%m-%d}"


OURS = f"{violation_id(7)}-1.jpg"
NOT_OURS = [
    "holiday.jpg",
    f"{violation_id(7)}-0.jpg",
    f"{violation_id(7)}.jpg",
    ".hidden",
    "a.tmp",
    "x-1.jpg",
]


@pytest.mark.parametrize("name", [OURS, f".{OURS}.tmp"])
def test_an_orphan_older_than_an_hour_is_swept(store: Store, swept: Path, name: str) -> None:
    (swept / name).write_bytes(JPEG)
    age(swept, timedelta(hours=2))
    assert tidy(store, FOREVER) == {"orphan": 1}
    assert len(pictures(store)) == 1, "the one that a row names stays"


def test_a_young_orphan_stays_since_its_row_may_be_on_the_way(store: Store, swept: Path) -> None:
    (swept / OURS).write_bytes(JPEG)
    age(swept, timedelta(minutes=50))
    assert tidy(store, FOREVER) == {}


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_file_not_named_like_ours_is_never_touched(store: Store, swept: Path, name: str) -> None:
    (swept / name).write_bytes(JPEG)
    (store.data_dir.pictures / OURS).write_bytes(JPEG)
    (store.data_dir.pictures / "album").mkdir()
    (store.data_dir.pictures / "album" / OURS).write_bytes(JPEG)
    age(swept, 400 * DAY)
    assert tidy(store, FOREVER) == {}


def test_a_link_is_not_followed_and_not_removed(store: Store, swept: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / OURS).write_bytes(JPEG)
    (swept / OURS).symlink_to(precious / OURS)
    (store.data_dir.pictures / "2020-01-01").symlink_to(precious)
    age(precious, 400 * DAY)
    assert tidy(store, FOREVER) == {}
    assert (precious / OURS).exists()


def age(folder: Path, length: timedelta) -> None:
    """Make every file in a folder look this old at the time of the pass."""
    then = (START + timedelta(hours=1) - length).timestamp()
    for path in folder.iterdir():
        os.utime(path, (then, then), follow_symlinks=False)


def test_freed_pages_go_back_to_the_disk(store: Store) -> None:
    fill(store, 400, pictures=False)
    store.database.checkpoint(truncate=True)
    size = store.data_dir.database.stat().st_size
    tidy(store, RetentionConfig(violations_days=0.5))
    store.database.checkpoint(truncate=True)
    assert store.data_dir.database.stat().st_size < size / 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.floats(0.5, 12, allow_nan=False),
    most=st.integers(0, 12),
    undelivered=st.sets(st.integers(0, 9)),
)
def test_any_rules_remove_a_run_of_the_oldest_and_nothing_undelivered(
    tmp_path_factory: pytest.TempPathFactory, days: float, most: int, undelivered: set[int]
) -> None:
    store = make_store(tmp_path_factory.mktemp("store"))
    fill(store, delivered=False)
    store.outbox.store_results(
        [
            DeliveryResult(
                "mqtt", violation_id(index), 1, OutboxState.DELIVERED, 1, START, START, "accepted"
            )
            for index in set(range(10)) - undelivered
        ]
    )
    tidy(store, RetentionConfig(violations_days=days, max_violations=most, max_megabytes=0))
    left = kept(store)
    store.close()
    assert undelivered <= set(left)
    gone = [index for index in range(10) if index not in left]
    free_to_go = [index for index in range(10) if index not in undelivered]
    assert gone == free_to_go[: len(gone)], "the oldest first"
    if most:
        assert len(left) <= max(most, len(undelivered))
