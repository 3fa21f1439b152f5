"""A damaged database is replaced by a sound one with all readable rows."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maskwatch.clock import SystemClock
from maskwatch.domain import Change
from maskwatch.errors import StoreError
from maskwatch.store.data_dir import DataDir
from maskwatch.store.integrity import find_damage
from maskwatch.store.queries import Filter, events, read_session
from maskwatch.store.replacement import move_aside
from maskwatch.store.store import open_store
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, deliver, entry, incident, make_store, violation_id

PAGE = 4096
COUNT = 120


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many closed violations, the first half delivered; one incident; all in the main file."""
    folder = tmp_path_factory.mktemp("sound") / "data"
    store = make_store(folder)
    store.changes.record([entry(change(index, closed=True)) for index in range(COUNT)])
    store.changes.record([entry(incident())])
    deliver(store, range(COUNT // 2))
    store.close()
    return folder


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


def damage(database: Path, pages: list[int]) -> None:
    """Overwrite these pages (from 0) with random bytes."""
    with database.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(random.Random(page).randbytes(PAGE))


def root_page(database: Path, name: str) -> int:
    """The first page of a table, from 0."""
    with closing(sqlite3.connect(database)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
        return int(root) - 1


def pending(folder: Path) -> tuple[set[int], str]:
    """Open the store; return the indexes of undelivered violations, and the repair as text."""
    data_dir = DataDir(folder)
    store, repaired = open_store(
        data_dir, sinks=("mqtt",), reserve_bytes=0, clock=SystemClock(), meter=Meter()
    )
    waiting = store.outbox.waiting("mqtt", 10 * COUNT)
    store.close()
    assert find_damage(data_dir.database, thorough=True) == ""
    indexes = {w.subject.violation.id.int & 0xFFFF for w in waiting if isinstance(w.subject, Change)}
    return indexes, str(repaired)


UNDELIVERED = set(range(COUNT // 2, COUNT))


def test_a_sound_database_is_not_replaced(data: Path) -> None:
    indexes, repaired = pending(data)
    assert (indexes, repaired) == (UNDELIVERED, "None")
    assert not list(data.glob("*damaged*"))


@pytest.mark.parametrize(
    "index", ["ix_violation_started", "uq_change_subject_number", "ix_outbox_pending"]
)
def test_with_a_damaged_index_every_row_is_copied(data: Path, index: str) -> None:
    database = data / "maskwatch.db"
    name = "sqlite_autoindex_change_1" if index.startswith("uq") else index
    damage(database, [root_page(database, name)])
    indexes, repaired = pending(data)
    assert indexes == UNDELIVERED
    assert f"{COUNT} of violation" in repaired
    assert len(list(data.glob("maskwatch.damaged-*.db"))) == 1


def test_with_a_damaged_page_of_changes_all_others_are_copied(data: Path) -> None:
    database = data / "maskwatch.db"
    content = database.read_bytes()
    needle = str(violation_id(COUNT - 30)).encode()
    damage(database, [content.index(b'"id":"' + needle) // PAGE])
    indexes, repaired = pending(data)
    assert "rows of change could not be read" in repaired.replace("attempt, ", "")
    assert len(UNDELIVERED - indexes) < 10
    assert COUNT - 1 in indexes
    with read_session(database) as session:
        assert len(list(events(session, Filter()))) == COUNT


def test_young_changes_whose_deliveries_are_lost_are_delivered_again(data: Path) -> None:
    database = data / "maskwatch.db"
    damage(database, [root_page(database, "outbox")])
    indexes, _ = pending(data)
    assert indexes == set(range(COUNT))


def test_without_its_first_page_a_database_is_replaced_and_kept(data: Path) -> None:
    before = (data / "maskwatch.db").read_bytes()
    damage(data / "maskwatch.db", [0])
    assert pending(data)[0] == set()
    [kept] = data.glob("maskwatch.damaged-*.db")
    assert kept.read_bytes()[PAGE:] == before[PAGE:]


@pytest.mark.parametrize("seed", range(8))
def test_any_damage_ends_in_a_sound_database(data: Path, seed: int) -> None:
    database = data / "maskwatch.db"
    rng = random.Random(seed)
    pages = database.stat().st_size // PAGE
    damage(database, rng.sample(range(1, pages), rng.randint(1, 6)))
    indexes, _ = pending(data)
    assert indexes <= set(range(COUNT))
    reopened = make_store(data)
    reopened.changes.record([entry(change(COUNT + 1))])
    reopened.close()


def test_the_wal_of_a_damaged_database_is_copied_too(data: Path, tmp_path: Path) -> None:
    store = make_store(data)
    store.changes.record([entry(change(COUNT))])
    killed = Path(shutil.copytree(data, tmp_path / "killed"))  # as a kill leaves it: with its -wal
    store.close()
    assert (killed / "maskwatch.db-wal").stat().st_size
    damage(killed / "maskwatch.db", [root_page(killed / "maskwatch.db", "ix_violation_started")])
    assert COUNT in pending(killed)[0]


def test_a_truncated_wal_loses_only_its_last_transaction(data: Path, tmp_path: Path) -> None:
    store = make_store(data)
    store.changes.record([entry(change(COUNT))])
    store.changes.record([entry(change(COUNT + 1))])
    killed = Path(shutil.copytree(data, tmp_path / "killed"))
    store.close()
    wal = killed / "maskwatch.db-wal"
    wal.write_bytes(wal.read_bytes()[:-100])
    indexes, repaired = pending(killed)
    assert (indexes, repaired) == (UNDELIVERED | {COUNT}, "None")


@pytest.mark.parametrize("moved", [False, True])
def test_a_repair_killed_before_its_last_step_is_finished_at_the_next_start(
    data: Path, moved: bool
) -> None:
    shutil.copy(data / "maskwatch.db", data / "maskwatch.repaired.db")
    damage(data / "maskwatch.db", [0])
    if moved:
        move_aside(data / "maskwatch.db", START, "damaged")
    assert pending(data)[0] == UNDELIVERED
    assert not (data / "maskwatch.repaired.db").exists()
    assert len(list(data.glob("maskwatch.damaged-*.db"))) == 1


def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "maskwatch.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    before = database.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        make_store(tmp_path / "data")
    assert database.read_bytes() == before
