"""`maskwatch db`: check, backup, restore and prune."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maskwatch.store.data_dir import DataDir, DirectoryLock
from maskwatch.store.queries import Filter, events, read_session
from tests.fakes.command_line import run
from tests.fakes.flipped_bits import flip
from tests.fakes.samples import JPEG, change, entry, make_store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = make_store(tmp_path / "data")
    store.changes.record([entry(change(1), JPEG), entry(change(2))])
    store.close()
    return tmp_path / "data"


def count(database: Path) -> int:
    with read_session(database) as session:
        return len(list(events(session, Filter())))


def test_check_lists_the_contents_of_a_sound_database(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("db", "check", "--data-dir", data) == 0
    output = capsys.readouterr().out
    assert "is sound" in output
    assert "missing pictures" not in output


def test_check_counts_missing_pictures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(data.glob("pictures/*/*.jpg")).unlink()
    assert run("db", "check", "--data-dir", data) == 0
    assert "missing pictures: 1" in capsys.readouterr().out


def test_check_names_each_damaged_picture_and_is_an_error(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = next(data.glob("pictures/*/*.jpg"))
    flip(picture, 8 * 50)
    assert run("db", "check", "--data-dir", data) == 4
    output = capsys.readouterr()
    assert f"damaged picture: {picture}" in output.out
    assert "1 pictures are not what was written" in output.err


def test_check_of_a_damaged_database_is_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = data / "maskwatch.db"
    content = bytearray(database.read_bytes())
    content[8192:40960] = b"\xaa" * 32768
    database.write_bytes(content)
    assert run("db", "check", "--data-dir", data) == 4
    assert "is damaged" in capsys.readouterr().err


def test_a_backup_made_while_the_store_is_open_can_be_restored(data: Path, tmp_path: Path) -> None:
    store = make_store(data)
    store.changes.record([entry(change(3))])
    assert run("db", "backup", "--data-dir", data, tmp_path / "copy.db") == 0
    store.changes.record([entry(change(4))])
    store.close()
    assert not (tmp_path / "copy.db-wal").exists()
    assert run("db", "restore", "--data-dir", data, tmp_path / "copy.db") == 0
    assert count(data / "maskwatch.db") == 3
    [kept] = data.glob("maskwatch.replaced-*.db")
    assert count(kept) == 4
    reopened = make_store(data)
    reopened.changes.record([entry(change(5))])
    reopened.close()


def test_a_backup_into_a_directory_gets_a_name_and_mode_0600(data: Path, tmp_path: Path) -> None:
    assert run("db", "backup", "--data-dir", data, tmp_path) == 0
    [copy] = tmp_path.glob("maskwatch-*Z.db")
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_backup_overwrites_no_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    assert run("db", "backup", "--data-dir", data, tmp_path / "precious") == 4
    assert (tmp_path / "precious").read_text() == "kept"


def test_restore_is_refused_while_a_daemon_owns_the_directory(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("db", "backup", "--data-dir", data, tmp_path / "copy.db") == 0
    with DirectoryLock(DataDir(data)):
        assert run("db", "restore", "--data-dir", data, tmp_path / "copy.db") == 6
    assert "another maskwatch" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["text", "empty", "foreign", "newer", "missing"])
def test_restore_refuses_a_file_that_is_not_a_usable_backup(
    data: Path, tmp_path: Path, kind: str
) -> None:
    source = tmp_path / "source.db"
    if kind == "text":
        source.write_text("no database " * 1000)
    elif kind == "empty":
        source.touch()
    elif kind == "foreign":
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("CREATE TABLE t (x)")
    elif kind == "newer":
        assert run("db", "backup", "--data-dir", data, source) == 0
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
    assert run("db", "restore", "--data-dir", data, source) == (5 if kind == "newer" else 4)
    assert count(data / "maskwatch.db") == 2


def test_prune_removes_what_its_dry_run_counts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(data, sinks=())
    store.changes.record([entry(change(index, closed=True)) for index in range(10, 20)])
    config = tmp_path / "config.yaml"
    config.write_text(
        f"data_dir: {data}\nstore: {{retention: {{max_violations: 4}}}}\n"
        "cameras:\n  - {name: door, url: 'rtsp://camera.invalid/'}\n"
    )
    with DirectoryLock(DataDir(data)):
        assert run("db", "prune", "--dry-run", "--config", config) == 0
        assert "8 violations would be removed" in capsys.readouterr().out
        assert run("db", "prune", "--config", config) == 6
    store.close()
    assert count(data / "maskwatch.db") == 12
    assert run("db", "prune", "--config", config) == 0
    assert count(data / "maskwatch.db") == 4


def test_a_backup_directory_that_is_missing_is_made(data: Path, tmp_path: Path) -> None:
    assert run("db", "backup", "--data-dir", data, f"{tmp_path}/new/backups/") == 0
    [copy] = (tmp_path / "new/backups").iterdir()
    assert copy.name.startswith("maskwatch-")
