"""The data directory: where each file lies, who owns it, and on what kind of file system."""

from __future__ import annotations

import ctypes
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from maskwatch.errors import StoreError, StoreLockedError

__all__ = ["DataDir", "DirectoryLock", "file_system_type", "free_bytes"]

# statfs(2) magic numbers of file systems on which SQLite's locks or fsync cannot be trusted.
_NETWORK = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "kAFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x01021997: "9P",
    0x0BD00BD0: "Lustre",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
}
_FUSE = 0x65735546
# Kinds of FUSE that reach over a network; others (mergerfs, encfs ...) are local.
_NETWORK_FUSE = ("sshfs", "s3fs", "glusterfs", "rclone", "davfs", "gcsfuse", "moosefs", "cephfs")


@dataclass(frozen=True, slots=True)
class DataDir:
    """The layout of one data directory."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite file; `-wal` and `-shm` lie beside it."""
        return self.path / "maskwatch.db"

    @property
    def repaired(self) -> Path:
        """A whole new database that waits to be put in the place of the other one."""
        return self.path / "maskwatch.repaired.db"

    @property
    def partial_repair(self) -> Path:
        """The `repaired` database while it is being written."""
        return self.path / "maskwatch.repair.tmp"

    @property
    def lock(self) -> Path:
        """Locked while a daemon owns the directory; holds its process id."""
        return self.path / "lock"

    @property
    def reserve(self) -> Path:
        """Space set aside for rows."""
        return self.path / "reserve"

    @property
    def pictures(self) -> Path:
        """Holds a folder per day (UTC)."""
        return self.path / "pictures"

    @property
    def needs_check(self) -> Path:
        """Present after SQLite reported damage: the next start runs a full check."""
        return self.path / "suspect"

    def picture(self, relative: str | None) -> Path | None:
        """Return the path of a stored picture, None for a change without one."""
        return None if relative is None else self.pictures / relative

    def prepare(self, file_system: Callable[[Path], str] | None = None) -> None:
        """Make the directories, for this user only.

        Raises:
            StoreError: it cannot be made or written, or lies on a network file system.

        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.pictures.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the data directory {self.path}: {error.strerror}") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StoreError(f"cannot write to the data directory {self.path}: permission denied")
        kind = (file_system or file_system_type)(self.path)
        if kind:
            raise StoreError(
                f"the data directory {self.path} lies on a network file system ({kind}), where "
                "SQLite can lose data: set data_dir to a local disk"
            )


def free_bytes(path: Path) -> int:
    """Return the bytes an ordinary user may still write to the file system of `path`."""
    stats = os.statvfs(path)
    return stats.f_bavail * stats.f_frsize


def file_system_type(path: Path) -> str:
    """Return the name of the network file system that `path` lies on, "" for a local one."""
    magic = _statfs_magic(path)
    if magic in _NETWORK:
        return _NETWORK[magic]
    if magic == _FUSE:
        return _network_fuse(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), path)
    return ""


def _statfs_magic(path: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)  # struct statfs is 120 bytes; f_type is its first word
    if libc.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise StoreError(f"cannot look at the file system of {path}: {os.strerror(code)}")
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def _network_fuse(mountinfo: str, path: Path) -> str:
    """Return the FUSE kind (`fuse.sshfs`) of the mount that holds `path`, "" if it is local."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            kind = after.split()[0]
            return kind if any(name in kind for name in _NETWORK_FUSE) else ""
    return ""


class DirectoryLock:
    """The claim of one process on a data directory; the kernel drops it when the process ends."""

    def __init__(self, data_dir: DataDir, *, timeout: float = 3.0) -> None:
        """Take the lock.

        Args:
            data_dir: the directory.
            timeout: seconds to wait for a former owner that is just ending.

        Raises:
            StoreLockedError: another process holds it; names its process id.

        """
        self._data_dir = data_dir
        self._handle = self._claim(timeout)

    def _claim(self, timeout: float) -> int:
        handle = os.open(self._data_dir.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _taken(handle, time.monotonic() + timeout):
            owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise StoreLockedError(
                f"another maskwatch (pid {owner}) uses {self._data_dir.path}: stop it, or set another"
                " data_dir"
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return handle

    def renew(self) -> None:
        """Lock the file that is there now, if the one that was locked has been removed.

        Raises:
            StoreLockedError: another process was faster.

        """
        ours = os.fstat(self._handle)
        if self._data_dir.lock.exists() and os.path.samestat(ours, self._data_dir.lock.stat()):
            return
        lost, self._handle = self._handle, self._claim(0.0)
        os.close(lost)

    def release(self) -> None:
        """Give the directory up."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _taken(handle: int, deadline: float) -> bool:
    """Lock the file for this process; return False if another one has it at the deadline still."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True
