"""A flipped bit in database, -wal or picture is found and reported, and never spreads."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from maskwatch.errors import StoreDamagedError
from maskwatch.store.backup import backup
from maskwatch.store.integrity import find_damage
from maskwatch.store.queries import Filter, events, read_session
from maskwatch.store.scrub import scrub
from maskwatch.store.store import Store
from maskwatch.telemetry.meter import Meter
from tests.fakes.flipped_bits import Outcome, Rows, flip, make_sample, start, stored
from tests.fakes.samples import JPEG, change, deliver, entry, make_store

FLIPS = [8, pytest.param(300, marks=[pytest.mark.long, pytest.mark.sweep, pytest.mark.timeout(1800)])]
WAL_FLIPS = [
    3,
    pytest.param(100, marks=[pytest.mark.long, pytest.mark.sweep, pytest.mark.timeout(1800)]),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "data"
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose last transactions are in the -wal."""
    folder = tmp_path_factory.mktemp("killed") / "data"
    make_sample(folder, killed=True)
    return folder


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(sample, tmp_path / "data"))


def rows(folder: Path, scratch: Path) -> Rows:
    copy = Path(shutil.copytree(folder, scratch / "sound"))
    make_store(copy).close()
    return stored(copy / "maskwatch.db")


def outcomes(
    sound: Path, scratch: Path, name: str, count: int, *, lossless: bool = False
) -> Counter[Outcome]:
    """Start with each of some bits of a file flipped."""
    expected = rows(sound, scratch)
    chance, bits = random.Random(1), 8 * (sound / name).stat().st_size
    found: Counter[Outcome] = Counter()
    for bit in (chance.randrange(bits) for _ in range(count)):
        folder = Path(shutil.copytree(sound, scratch / "flipped"))
        flip(folder / name, bit)
        outcome = start(folder, expected)
        assert outcome in {Outcome.HARMLESS, Outcome.FOUND}, f"bit {bit} of {name}: {outcome}"
        if lossless:
            assert stored(folder / "maskwatch.db")["change"] == expected["change"], bit
        found[outcome] += 1
        shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("count", FLIPS)
def test_any_flipped_bit_of_the_database_is_harmless_or_found(
    sample: Path, tmp_path: Path, count: int
) -> None:
    found = outcomes(sample, tmp_path, "maskwatch.db", count)
    assert found[Outcome.FOUND]


@pytest.mark.parametrize("count", WAL_FLIPS)
def test_any_flipped_bit_of_the_wal_is_found_and_loses_no_transaction(
    killed: Path, tmp_path: Path, count: int
) -> None:
    found = outcomes(killed, tmp_path, "maskwatch.db-wal", count, lossless=True)
    assert found[Outcome.FOUND] > count // 2


def flip_text(file: Path, text: bytes) -> None:
    """Flip the lowest bit of the last byte of the first occurrence of a text."""
    at = file.read_bytes().index(text) + len(text) - 1
    flip(file, 8 * at)


BODY = b'"confidence":0.99'  # in the body of a change; it stays valid JSON


def test_a_row_with_a_flipped_bit_is_found_and_not_copied_by_a_backup(
    data: Path, tmp_path: Path
) -> None:
    database = data / "maskwatch.db"
    flip_text(database, BODY)
    assert "of change do not match their checksums" in find_damage(database, thorough=True)
    with pytest.raises(StoreDamagedError, match="change do not match"):
        backup(database, tmp_path / "copy.db")
    assert list(tmp_path.glob("*copy*")) == []


def test_a_repair_leaves_out_a_row_with_a_flipped_bit(data: Path, tmp_path: Path) -> None:
    expected = rows(data, tmp_path)
    flip_text(data / "maskwatch.db", BODY)
    assert start(data, expected) is Outcome.FOUND
    left = stored(data / "maskwatch.db")["change"]
    assert left < expected["change"]
    assert len(expected["change"] - left) == 1


def test_a_row_with_a_flipped_bit_is_never_listed(data: Path) -> None:
    flip_text(data / "maskwatch.db", BODY)
    with pytest.raises(StoreDamagedError), read_session(data / "maskwatch.db") as session:
        list(events(session, Filter()))


def alter_rows(store: Store, statement: str) -> None:
    """Change rows behind the back of an open store, whose connection maintains the checksums."""
    with closing(sqlite3.connect(store.data_dir.database)) as other, other:
        other.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE change SET body = replace(body, '0.99', '0.98') WHERE number = 2",
        "UPDATE outbox SET attempts = 77 WHERE state = 'pending'",
        "UPDATE change SET body = CAST(x'ff' || body AS TEXT) WHERE number = 2",
    ],
)
def test_an_alert_whose_row_was_altered_is_not_sent(data: Path, statement: str) -> None:
    with closing(make_store(data)) as store:
        alter_rows(store, statement)
        with pytest.raises(StoreDamagedError):
            store.outbox.waiting("mqtt", 100)


def test_an_altered_row_is_not_updated_which_would_hide_it(data: Path) -> None:
    with closing(make_store(data)) as store:
        alter_rows(store, "UPDATE outbox SET attempts = 77 WHERE state = 'pending'")
        with pytest.raises(StoreDamagedError):
            deliver(store, range(7, 13))
        alter_rows(store, "UPDATE violation SET zone = 'hill'")
        with pytest.raises(StoreDamagedError):
            store.changes.record([entry(change(20, 2))])


def test_the_search_finds_a_flipped_bit_that_nothing_else_reads(data: Path) -> None:
    with closing(make_store(data)) as store:
        for _ in scrub(store.database, store.pictures):
            pass
        alter_rows(store, "UPDATE occupancy SET peak = peak + 64 WHERE rowid = 3")
        with pytest.raises(StoreDamagedError, match="occupancy"):
            list(scrub(store.database, store.pictures))


def alter(picture: Path) -> None:
    flip(picture, 8 * 50)


@pytest.mark.parametrize("damage", [alter, lambda picture: picture.write_bytes(JPEG[:-1])])
def test_a_damaged_picture_is_reported_once_and_never_sent(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    meter = Meter()
    store = make_store(tmp_path / "data", meter=meter)
    store.changes.record([entry(change(1), JPEG), entry(change(2), JPEG)])
    first, second = (item.picture for item in store.outbox.waiting("mqtt", 2))
    assert first is not None
    damage(store.data_dir.pictures / first.path)
    assert [store.pictures.path(each) for each in (first, first, second)][:2] == [None, None]
    assert store.pictures.path(second) is not None
    for _ in scrub(store.database, store.pictures):
        pass
    assert store.pictures.take_damaged() == [first.path]
    assert store.pictures.take_damaged() == []
    counted = {dict(each.labels).get("fate"): each.value for each in meter.snapshot().samples}
    assert counted["damaged"] == 1
    store.close()
