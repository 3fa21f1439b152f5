"""A named file is read whole or refused, whatever it turns out to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maskwatch.files import read_file


def test_a_file_of_the_most_that_is_allowed_is_read_and_a_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 2048)
    assert read_file(file, 2048) == b"x" * 2048
    with pytest.raises(OSError, match="larger than 1 KiB"):
        read_file(file, 1024)


def test_what_has_no_end_or_no_beginning_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/proc/self/mem").parent):
        with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
            read_file(path, 1024)
