"""Read-only queries: beside a writer, without one, and on damaged files."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwatch.errors import MaskwatchError, StoreDamagedError, StoreError
from maskwatch.store.queries import Filter, event_detail, events, find_violation, inventory, read_session
from tests.fakes.samples import JPEG, change, entry, make_store, violation_id


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    store = make_store(folder)
    store.changes.record([entry(change(index, number), JPEG) for index in range(8) for number in (1, 2)])
    store.close()
    return folder / "maskwatch.db"


def read_everything(path: Path) -> int:
    """Run all queries of the command line; return the number of violations."""
    with read_session(path) as session:
        found = list(events(session, Filter()))
        for event in found:
            event_detail(session, find_violation(session, str(event.id)))
        inventory(session, path.parent)
    return len(found)


def test_a_reader_cannot_write(sound: Path) -> None:
    with pytest.raises(StoreError, match="readonly"), read_session(sound) as session:
        session.connection().exec_driver_sql("DELETE FROM violation")


def test_a_reader_sees_committed_rows_while_a_writer_is_open(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for index in range(3):
        store.changes.record([entry(change(index))])
        assert read_everything(store.data_dir.database) == index + 1
    store.close()


def test_a_reader_does_not_block_the_writer(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.changes.record([entry(change(1))])
    with read_session(store.data_dir.database) as session:
        assert len(list(events(session, Filter()))) == 1
        store.changes.record([entry(change(2))])
        assert len(list(events(session, Filter()))) == 1, "a reader sees one snapshot"
    store.close()


def test_a_read_only_file_can_be_read(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound, tmp_path / "copy.db")
    (tmp_path / "copy.db").chmod(0o400)
    assert read_everything(tmp_path / "copy.db") == 8


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), damages=st.integers(1, 40))
def test_random_damage_raises_no_other_error_than_maskwatch_errors(
    sound: Path, tmp_path: Path, seed: int, damages: int
) -> None:
    content = bytearray(sound.read_bytes())
    rng = random.Random(seed)
    for _ in range(damages):
        start = rng.randrange(100, len(content))
        size = rng.choice([1, 4, 64])
        content[start : start + size] = rng.randbytes(len(content[start : start + size]))
    path = tmp_path / "damaged.db"
    path.write_bytes(content)
    with suppress(MaskwatchError):
        read_everything(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE violation SET started = 'yesterday'",
        "UPDATE violation SET zones = '['",
        "UPDATE violation SET id = 'not an id at all'",
        "UPDATE change SET body = '{}'",
        "UPDATE change SET at = 7",
    ],
)
def test_an_invalid_row_is_reported_as_damage(sound: Path, tmp_path: Path, statement: str) -> None:
    path = tmp_path / "invalid.db"
    shutil.copy(sound, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("CREATE TABLE keep AS SELECT 1")
        with suppress(sqlite3.IntegrityError):
            connection.execute(statement + (" WHERE rowid = 1"))
        connection.commit()
    with pytest.raises(StoreDamagedError, match="cannot be read"):
        read_everything(path)


def test_an_unreadable_delivery_is_parked_and_blocks_no_other(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.changes.record([entry(change(1)), entry(change(2))])
    with store.database.session() as session:
        wanted = f"subject = '{violation_id(1).hex}'"
        session.connection().exec_driver_sql(f"UPDATE change SET body = '{{}}' WHERE {wanted}")
    assert [item.subject for item in store.outbox.waiting("mqtt", 10)] == [change(2)]
    assert store.outbox.backlog("mqtt").parked == 1
    store.close()
