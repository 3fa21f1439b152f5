"""The data directory: its lock, its modes, its file system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskwatch.errors import AccessDeniedError, StoreError, StoreLockedError
from maskwatch.store.data_dir import DataDir, DirectoryLock, file_system_type
from maskwatch.store.data_dir import _network_fuse as network_fuse


def test_directories_are_created_for_their_owner_only(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "deep" / "data")
    data_dir.prepare()
    assert data_dir.path.stat().st_mode & 0o777 == 0o700
    assert data_dir.pictures.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AccessDeniedError, match="is not a directory"):
        DataDir(tmp_path / "file" / "data").prepare()


def test_a_network_file_system_is_refused_with_its_type(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"network file system \(NFS\)"):
        DataDir(tmp_path).prepare(file_system=lambda _: "NFS")


def test_the_file_system_of_this_test_is_local(tmp_path: Path) -> None:
    assert file_system_type(tmp_path) == ""


@pytest.mark.parametrize(
    ("fuse_type", "expected"),
    [("fuse.sshfs", "fuse.sshfs"), ("fuse.rclone", "fuse.rclone"), ("fuseblk", "")],
)
def test_only_network_file_systems_of_fuse_are_refused(
    tmp_path: Path, fuse_type: str, expected: str
) -> None:
    device = tmp_path.stat().st_dev
    mountinfo = (
        "22 1 0:5 / /proc rw - proc proc rw\n"
        f"36 1 {os.major(device)}:{os.minor(device)} / / rw shared:1 - {fuse_type} src rw\n"
    )
    assert network_fuse(mountinfo, tmp_path) == expected


def test_a_lock_of_another_process_is_refused_with_its_pid(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from maskwatch.store.data_dir import *\n"
        "DirectoryLock(DataDir(Path(sys.argv[1]))); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreLockedError, match=rf"\(pid {other.pid}\)"):
            DirectoryLock(DataDir(tmp_path), timeout=0.1)
        other.kill()
        other.wait()
        with DirectoryLock(DataDir(tmp_path)):
            assert DataDir(tmp_path).lock.read_text() == f"{os.getpid()}\n"


def test_renew_locks_a_new_file_after_the_lock_file_was_removed(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with DirectoryLock(data_dir) as lock:
        data_dir.lock.unlink()
        lock.renew()
        lock.renew()
        with pytest.raises(StoreLockedError):
            DirectoryLock(data_dir, timeout=0.0)
        data_dir.lock.unlink()
        with DirectoryLock(data_dir), pytest.raises(StoreLockedError):
            lock.renew()


def test_a_released_lock_can_be_acquired_again(tmp_path: Path) -> None:
    for _ in range(2):
        with DirectoryLock(DataDir(tmp_path), timeout=0.0):
            pass
