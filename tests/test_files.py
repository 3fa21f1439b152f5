"""Regular files are read whole or refused, and replaced whole or not at all."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.files import json_text, printable, read_file, replace_file


def test_a_file_of_the_maximum_size_is_read_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 2048)
    assert read_file(file, 2048) == b"x" * 2048
    with pytest.raises(OSError, match="larger than 1 KiB"):
        read_file(file, 1024)


def test_pipes_devices_and_directories_are_refused_immediately(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/proc/self/mem").parent):
        with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
            read_file(path, 1024)


def test_a_replaced_file_keeps_owner_group_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 2)
    before = path.stat()
    replace_file(path, b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    for field in ("st_uid", "st_gid", "st_mode"):
        assert getattr(after, field) == getattr(before, field)


def test_replacing_a_link_replaces_its_target(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "file"
    real.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(real)
    replace_file(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_without_space_the_old_contents_stay_and_no_temporary_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            replace_file(path, bytes(8192))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["plain", "Küche", "\N{OLD ITALIC LETTER A}"])
def test_valid_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.binary(max_size=20))
def test_any_name_can_be_printed_and_written_as_json(raw: bytes) -> None:
    name = os.fsdecode(raw)
    printable(name).encode()
    assert json.loads(json_text({"name": name, "all": (name,)}, indent=2)) == {
        "name": printable(name),
        "all": [printable(name)],
    }


def test_a_name_that_is_not_utf_8_is_printed_escaped() -> None:
    assert printable(os.fsdecode(b"K\xfcche.mp4")) == r"K\xfcche.mp4"
    assert printable("\ud800") == r"\ud800"
