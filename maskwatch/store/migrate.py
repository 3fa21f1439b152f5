"""Migrates a database to the schema of this version, and refuses one from a newer version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from maskwatch.errors import StoreDamagedError, StoreError, StoreTooNewError
from maskwatch.store import checksums
from maskwatch.store.engine import translate_errors, write_engine

_MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for the migrations in this package, run on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head_revision() -> str:
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def current_revision(connection: Connection) -> str | None:
    """Return the database's revision, None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def check_revision(connection: Connection, path: Path, *, exact: bool = False) -> None:
    """Check that this version supports the revision of the database.

    With `exact` an older revision is refused too, because a reader cannot migrate.

    Raises:
        StoreTooNewError: it was written by a newer maskwatch.
        StoreError: it is older, and `exact` is set.
    """
    revision = current_revision(connection)
    if revision is not None:
        _check_known(revision, path)
    if exact and revision != head_revision():
        raise StoreError(
            f"the database {path} has an older revision: start the daemon of this version once to "
            "migrate it"
        )


def _check_known(revision: str, path: Path) -> None:
    try:
        known = ScriptDirectory.from_config(alembic_config()).get_revision(revision)
    except CommandError:
        known = None
    if known is None:
        raise StoreTooNewError(
            f"the database {path} was written by a newer maskwatch (revision {revision}, this one "
            f"supports up to {head_revision()}): install that version, or restore an older backup"
        )


def _require_unaltered(connection: sqlite3.Connection, path: Path) -> None:
    altered = checksums.find_altered(connection)
    if altered:
        raise StoreDamagedError(f"the database {path} is damaged: {altered}")


def upgrade(path: Path, revision: str = "head") -> None:
    """Migrate the database at `path`, a new one if there is none, in one transaction.

    Raises:
        StoreTooNewError: it was written by a newer maskwatch.
        StoreError: the error of SQLite.
    """
    engine = write_engine(path, migration=True)
    try:
        with translate_errors(path), engine.begin() as connection:
            check_revision(connection, path)
            if current_revision(connection) == head_revision():
                return
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            _require_unaltered(raw, path)  # new checksums would hide it
            command.upgrade(alembic_config(connection), revision)
            checksums.compute(raw)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise StoreDamagedError(f"the database {path}: {len(broken)} rows refer to missing rows")
    finally:
        engine.dispose()
