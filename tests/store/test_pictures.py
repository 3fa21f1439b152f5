"""Pictures on disk, and the reserve."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.store import record
from maskwatch.store.data_dir import DataDir
from maskwatch.store.pictures import write_picture
from maskwatch.store.reserve import Reserve
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import JPEG, START, change, entry, make_store, violation_id


def write(folder: Path, jpeg: bytes = JPEG) -> Path:
    return folder / write_picture(folder, violation_id(1), 2, START, jpeg).path


def test_a_picture_is_stored_by_day_violation_and_change_number(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert path == tmp_path / f"{START:%Y-%m-%d}" / f"{violation_id(1)}-2.jpg"
    assert path.read_bytes() == JPEG
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == [path.name], "no temporary file remains"


def test_a_picture_written_again_replaces_the_first(tmp_path: Path) -> None:
    write(tmp_path, JPEG + b"old")
    assert write(tmp_path).read_bytes() == JPEG


def test_a_partial_picture_of_a_killed_run_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / f"{START:%Y-%m-%d}").mkdir()
    (tmp_path / f"{START:%Y-%m-%d}" / f".{violation_id(1)}-2.jpg.tmp").write_bytes(b"half")
    assert write(tmp_path).read_bytes() == JPEG


def test_bytes_that_are_not_a_jpeg_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        write(tmp_path, b"<html>")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = make_store(tmp_path / "data", meter=Meter())
    yield opened
    opened.close()


def test_a_change_is_recorded_without_a_picture_that_cannot_be_written(store: Store) -> None:
    (store.data_dir.pictures / f"{START:%Y-%m-%d}").write_text("not a folder")
    store.changes.record([entry(change(1), JPEG), entry(change(2), b"no jpeg"), entry(change(3))])
    waiting = store.outbox.waiting("mqtt", 10)
    assert [item.picture for item in waiting] == [None, None, None]


def test_the_reserve_occupies_its_space_until_it_is_released(tmp_path: Path) -> None:
    reserve = Reserve(DataDir(tmp_path), 1 << 20)
    assert not reserve.complete
    assert reserve.fill()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 1 << 20
    assert reserve.release()
    assert reserve.size == 0
    assert not reserve.release(), "it is already released"


def test_a_larger_reserve_of_an_earlier_configuration_is_truncated(tmp_path: Path) -> None:
    Reserve(DataDir(tmp_path), 1 << 20).fill()
    smaller = Reserve(DataDir(tmp_path), 1 << 18)
    assert smaller.fill()
    assert smaller.size == 1 << 18


def test_the_reserve_is_not_filled_without_twice_its_space(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert not Reserve(DataDir(tmp_path), free).fill()
    assert list(tmp_path.iterdir()) == []


def test_changes_are_recorded_without_pictures_while_the_reserve_is_released(tmp_path: Path) -> None:
    meter = Meter()
    store = make_store(tmp_path / "data", reserve=1 << 16, meter=meter)
    store.reserve.release()
    store.changes.record([entry(change(1), JPEG)])
    assert store.outbox.waiting("mqtt", 1)[0].picture is None
    store.reserve.fill()
    store.changes.record([entry(change(2), JPEG)])
    assert store.outbox.waiting("mqtt", 2)[1].picture is not None
    store.close()
    fates = {
        dict(sample.labels)["fate"]: sample.value
        for sample in meter.snapshot().samples
        if sample.name == catalogue.PICTURES
    }
    assert fates == {"failed": 1, "written": 1}


def test_a_picture_that_exceeds_a_quota_is_counted_and_rows_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exceed(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    meter = Meter()
    store = make_store(tmp_path / "data", meter=meter)
    with monkeypatch.context() as patch:
        patch.setattr(record, "write_picture", exceed)
        store.changes.record([entry(change(1), JPEG)])
    assert "quota" in store.reserve.shortage
    assert not store.reserve.complete, "although no reserve is configured"
    [errors] = [each for each in meter.snapshot().samples if each.name == catalogue.STORE_ERROR_COUNT]
    assert (dict(errors.labels), errors.value) == ({"reason": "full"}, 1)
    assert store.reserve.fill(), "the quota was raised"
    store.changes.record([entry(change(2), JPEG)])
    assert [item.picture is None for item in store.outbox.waiting("mqtt", 2)] == [True, False]
    store.close()


def test_spare_files_hold_inodes_until_they_are_released(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    reserve = Reserve(data_dir, 1 << 16)
    assert reserve.fill()
    data_dir.spare_files[0].unlink()
    assert not reserve.complete
    assert reserve.fill()
    assert reserve.release()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_whose_name_does_not_match_the_pattern_is_refused(tmp_path: Path) -> None:
    for number, at in ((-5, START), (10**11, START), (1, START.replace(year=1))):
        with pytest.raises(ValueError, match="does not match the pattern"):
            write_picture(tmp_path, violation_id(1), number, at, JPEG)
    assert not list(tmp_path.iterdir())
