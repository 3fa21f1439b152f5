"""The tables of the pictures: manifest.csv, split.csv and lists of leaks.

Every row is used or an error, never ignored: an ignored row of a split would silently put test
pictures into training.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from maskwatch.errors import DataError
from maskwatch.files import MIB, read_file

_LARGEST: Final = 64 * MIB
_SIDES: Final = ("train", "test")

Row = tuple[int, dict[str, str]]  # the line in the file, and its values by column


class Origin(NamedTuple):
    """The collection of a picture and the photograph of a crop; each "" if unknown."""

    source: str = ""
    original: str = ""


def read_split(path: Path, pictures: Collection[str]) -> dict[str, str]:
    """Return picture -> "train" or "test"; empty if the file does not exist.

    Raises DataError for another side, for a picture on both sides, and if no row names one of
    `pictures`.
    """
    if not os.path.lexists(path):
        return {}
    sides: dict[str, str] = {}
    rows = _rows(path, "path", "split")
    for line, row in rows:
        name, side = row["path"], row["split"]
        if side not in _SIDES:
            raise DataError(f"{path}: line {line}: {name}: split is {side!r}; expected train or test")
        if sides.setdefault(name, side) != side:
            raise DataError(f"{path}: line {line}: {name} is in train and in test; keep one of the two")
    _require_match(path, rows, pictures)
    return sides


def read_origins(path: Path, pictures: Collection[str]) -> dict[str, Origin]:
    """Return picture -> origin; empty if the file does not exist.

    Raises DataError for a row without a source, and if no row names one of `pictures`.
    """
    if not os.path.lexists(path):
        return {}
    rows = _rows(path, "path")
    for line, row in rows:
        if row.get("source") == "":
            raise DataError(
                f"{path}: line {line}: {row['path']} has no source; add it, or remove the column"
            )
    _require_match(path, rows, pictures)
    return {r["path"]: Origin(r.get("source", ""), r.get("original", "")) for _, r in rows}


def read_leaks(path: Path, column: str, files: Collection[str]) -> frozenset[str]:
    """Return the files in a column of a list of leaks: test_path, which are in train too, or train_path.

    The list is in the data folder and names pictures by their path in it. Raises DataError if it
    names none of `files` (resolved paths), since it would exclude nothing.
    """
    folder = path.parent.resolve()
    listed = {str(folder / row[column]) for _, row in _rows(path, "test_path", "train_path")}
    if listed.isdisjoint(files):
        raise DataError(
            f"{path}: its {column} names none of the {len(files)} pictures; a list of leaks must be in "
            "the data folder and name pictures by their path in it"
        )
    return frozenset(listed)


def _rows(path: Path, *columns: str) -> list[Row]:
    """Return the rows of a CSV file whose first line names at least `columns`."""
    try:
        # Spreadsheets write a BOM, which is not part of the first column's name.
        text = read_file(path, _LARGEST).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table in CSV (UTF-8, commas): {error}") from error
    found = reader.fieldnames or ()
    missing = [name for name in columns if name not in found]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]!r} is missing; expected a first line with "
            f"{','.join(columns)}, found {','.join(found)!r}"
        )
    return rows


def _require_match(path: Path, rows: list[Row], pictures: Collection[str]) -> None:
    """Raise DataError if there are rows, but none of them names one of `pictures`."""
    if rows and not any(row["path"] in pictures for _, row in rows):
        raise DataError(
            f"{path}: no row names a picture of this folder; expected paths such as "
            f"{min(pictures)}, found {rows[0][1]['path']!r}"
        )
