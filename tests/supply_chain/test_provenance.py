"""The page that lists every binary file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.supply_chain.provenance import PAGE, binary_files, listed_files, updated


def test_every_binary_file_is_listed_with_its_hash() -> None:
    assert listed_files(PAGE.read_text("utf-8")) == binary_files()


def test_binary_files_are_found_by_content_and_not_by_name(tmp_path: Path) -> None:
    contents = {"data.txt": b"a\0b", "latin.md": b"caf\xe9", "text.png": "é".encode(), "empty.gz": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    assert binary_files(tmp_path).keys() == {"data.txt", "latin.md"}


def test_hashes_are_updated_in_place() -> None:
    assert updated("| `a.bin` | us | so | `00` |", {"a.bin": "ff"}) == "| `a.bin` | us | so | `ff` |"


@pytest.mark.parametrize("files", [{}, {"a.bin": "ff", "b.bin": "ff"}])
def test_a_row_or_a_file_too_many_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"bin"):
        updated("| `a.bin` | us | so | `00` |", files)
