"""A disk that is full to the last byte."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20


def _fill(file: io.RawIOBase, size: int) -> None:
    """Write blocks of this size until there is no space for one."""
    with contextlib.suppress(OSError):
        while file.write(b"\0" * size) == size:
            pass


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Fill the file system of `folder`, and free it again at the end."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            _fill(file, size)
    try:
        yield
    finally:
        ballast.unlink()
