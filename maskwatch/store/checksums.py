"""Checksums of rows: a row of which a bit has flipped is found, and never taken for a sound one.

SQLite checks the structure of a database, and no values in it. So each row has the CRC-32 of its other
columns. Temporary triggers of the recorder's connection maintain it, and refuse to update a row that
does not match; a change by another program is found like a flipped bit.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

import msgspec
from sqlalchemy import Table, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from maskwatch.errors import StoreDamagedError

COLUMN = "checksum"
_FUNCTION = "row_checksum"
REFUSAL = "the stored row does not match its checksum"


def row_checksum(*values: object) -> int:
    """Return the CRC-32 of values in the order of their columns' names."""
    return zlib.crc32(msgspec.msgpack.encode(values))


def register(connection: sqlite3.Connection) -> None:
    """Make the function of the statements below known to a connection."""
    connection.create_function(_FUNCTION, -1, row_checksum, deterministic=True)


def maintain(connection: sqlite3.Connection) -> None:
    """Have this connection set the checksum of each row that it inserts or updates."""
    for table, columns in _covered(connection):
        set_checksum = f"UPDATE {_assignment(table, columns, 'NEW.')} WHERE rowid = NEW.rowid;"
        refuse = f"SELECT RAISE(ABORT, '{REFUSAL}') WHERE OLD.{COLUMN} IS NOT {_call(columns, 'OLD.')};"
        names = ", ".join(f'"{column}"' for column in columns)
        connection.execute(
            f'CREATE TEMP TRIGGER insert_{table} AFTER INSERT ON main."{table}" BEGIN {set_checksum} END'
        )
        connection.execute(
            f'CREATE TEMP TRIGGER update_{table} AFTER UPDATE OF {names} ON main."{table}"'
            f" BEGIN {refuse} {set_checksum} END"
        )


def compute(connection: sqlite3.Connection) -> None:
    """Set the checksums of all rows, and that of the schema, after a migration."""
    for table, columns in _covered(connection):
        connection.execute(f"UPDATE {_assignment(table, columns)}")
    connection.execute(f"PRAGMA user_version = {_schema_checksum(connection)}")


def find_altered(connection: sqlite3.Connection) -> str:
    """Return what does not match its checksum: the schema, or rows of a table; "" if all does."""
    stored = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = list(_covered(connection))
    if tables and stored != _schema_checksum(connection):
        return "the schema does not match its checksum"
    findings = []
    for table, columns in tables:
        try:
            count = connection.execute(
                f"SELECT total(altered) FROM ({_rows(table, columns)})"  # noqa: S608
            ).fetchone()[0]
        except (sqlite3.OperationalError, UnicodeDecodeError) as error:
            findings.append(f"a row of {table} cannot be read: {error}")
            continue
        if count:
            findings.append(f"{count:.0f} of {table} do not match their checksums")
    return "; ".join(findings)


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables whose rows have checksums."""
    return [table for table, _ in _covered(connection)]


def check_some(
    connection: sqlite3.Connection, table: str, after: int, limit: int
) -> tuple[int | None, int]:
    """Check up to `limit` rows after a rowid.

    Returns:
        The last rowid, None if there is no row, and how many do not match their checksums.
    """
    columns = dict(_covered(connection))[table]
    some = f"{_rows(table, columns)} WHERE rowid > ? ORDER BY rowid LIMIT ?"
    found = connection.execute(some, (after, limit)).fetchall()
    return (found[-1][0] if found else None), sum(altered for _, altered in found)


def require_sound(session: Session, column: InstrumentedAttribute[Any], keys: Iterable[Any]) -> None:
    """Check the rows of a table in which `column` has one of the `keys`.

    Raises:
        StoreDamagedError: one does not match its checksum.
    """
    table = cast("Table", column.parent.local_table)
    covered = sorted((each for each in table.columns if each.name != COLUMN), key=lambda each: each.name)
    altered = table.c[COLUMN].is_distinct_from(func.row_checksum(*covered))
    for some in batched(keys):
        wrong = session.scalar(select(func.count()).select_from(table).where(column.in_(some), altered))
        if wrong:
            raise StoreDamagedError(
                f"{wrong} rows of {table.name} cannot be read: they do not match their checksums"
            )


def batched(keys: Iterable[Any], size: int = 500) -> Iterator[list[Any]]:
    """Yield the keys in lists that fit into one statement."""
    rest = iter(keys)
    while some := list(islice(rest, size)):
        yield some


def _covered(connection: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """Yield the tables whose rows have checksums, and the columns that these cover."""
    tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
    for (table,) in tables.fetchall():
        info = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        columns = sorted(str(name) for (name,) in info)
        if COLUMN in columns:
            columns.remove(COLUMN)
            yield str(table), columns


def _rows(table: str, columns: Sequence[str]) -> str:
    """Return the statement that yields each rowid, and 1 for a row that does not match."""
    altered = f"{COLUMN} IS NOT {_call(columns)} AS altered"
    return f'SELECT rowid, {altered} FROM "{table}" NOT INDEXED'  # noqa: S608 - names of the schema


def _assignment(table: str, columns: Sequence[str], prefix: str = "") -> str:
    return f'"{table}" SET {COLUMN} = {_call(columns, prefix)}'


def _call(columns: Sequence[str], prefix: str = "") -> str:
    names = ", ".join(f'{prefix}"{column}"' for column in columns)
    return f"{_FUNCTION}({names})"


def _schema_checksum(connection: sqlite3.Connection) -> int:
    """Return the CRC-32 of all names and definitions, as the signed number of `user_version`."""
    definitions = connection.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY type, name"
    )
    crc = row_checksum(*(value for row in definitions for value in row))
    return crc - (1 << 32) if crc >= 1 << 31 else crc
