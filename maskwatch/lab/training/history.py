"""The history of a run: loss and accuracy per epoch, in a CSV file beside the state."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from maskwatch.errors import DataError

_FILE: Final = "history.csv"


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one epoch; `rate` is the learning rate at its end."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    rate: float
    seconds: float


def read_history(run: Path) -> list[Epoch]:
    """Return the complete epochs of the run in folder `run`. Raises DataError if it is malformed."""
    path = run / _FILE
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [
                Epoch(int(row["epoch"]), *(float(row[f.name]) for f in fields(Epoch)[1:]))
                for row in csv.DictReader(stream)
            ]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: not a history of epochs ({error!r}); start a new run in another folder"
        ) from error


def write_history(run: Path, history: Sequence[Epoch]) -> None:
    """Write the epochs; the file is replaced atomically."""
    temporary = run / "next.csv"
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in history)
    temporary.replace(run / _FILE)
