"""The data directory: its layout, its lock, and the type of its file system."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from maskwatch.access import creation_remedy, require_directory, require_file
from maskwatch.errors import StoreError, StoreLockedError
from maskwatch.files import fsync_ancestors, fsync_directory
from maskwatch.store.pictures import day_folders, stored_in
from maskwatch.store.wal import wal_and_shm

# statfs(2) magic numbers of file systems on which SQLite's locks or fsync cannot be trusted.
_NETWORK_TYPES = {
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
_FUSE_TYPE = 0x65735546
# FUSE types of network file systems; others (mergerfs, encfs ...) are local.
_NETWORK_FUSE = ("sshfs", "s3fs", "glusterfs", "rclone", "davfs", "gcsfuse", "moosefs", "cephfs")


@dataclass(frozen=True, slots=True)
class DataDir:
    """The layout of one data directory."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite file, with `-wal` and `-shm` beside it."""
        return self.path / "maskwatch.db"

    @property
    def repaired(self) -> Path:
        """A complete new database that the next start puts in the place of the old one."""
        return self.path / "maskwatch.repaired.db"

    @property
    def partial_repair(self) -> Path:
        """The `repaired` database while it is being written."""
        return self.path / "maskwatch.repair.tmp"

    @property
    def lock(self) -> Path:
        """Locked while a daemon owns the directory; contains its process id."""
        return self.path / "lock"

    @property
    def reserve(self) -> Path:
        """The space set aside for rows on a full disk."""
        return self.path / "reserve"

    @property
    def spare_files(self) -> tuple[Path, Path]:
        """Empty files that hold inodes for `-wal` and `-shm` on a disk without free ones."""
        return self.path / "reserve.1", self.path / "reserve.2"

    @property
    def pictures(self) -> Path:
        """Contains a folder per day (UTC)."""
        return self.path / "pictures"

    @property
    def needs_check(self) -> Path:
        """Present after SQLite reported damage: the next start runs a full check."""
        return self.path / "suspect"

    def suspect_damage(self) -> None:
        """Have the next start check the whole database."""
        self.needs_check.touch(mode=0o600)
        fsync_directory(self.path)

    def prepare(self, file_system: Callable[[Path], str] | None = None) -> None:
        """Create the directories, for this user only, and make them durable.

        A killed run may have created them, and the folder of a day, without a sync.

        Raises:
            AccessDeniedError: this user may not use the directory, or something in it.
            StoreError: it cannot be created or written, or is on a network file system.
        """
        self.require_access()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.pictures.mkdir(mode=0o700, exist_ok=True)
            fsync_ancestors(self.path)
            fsync_directory(self.path)
            fsync_directory(self.pictures)
        except OSError as error:
            remedy = f": {creation_remedy(self.path)}" if error.errno == errno.EACCES else ""
            raise StoreError(
                f"cannot create the data directory {self.path}: {error.strerror}{remedy}"
            ) from error
        network_type = (file_system or file_system_type)(self.path)
        if network_type:
            raise StoreError(
                f"the data directory {self.path} is on a network file system ({network_type}), where "
                "SQLite can lose data: set data_dir to a local disk"
            )

    def require_access(self) -> None:
        """Raise AccessDeniedError unless this user may use everything that exists here and is needed."""
        require_directory(self.path)
        own = [self.lock, self.reserve, *self.spare_files, self.needs_check]
        for database in (self.database, self.repaired, self.partial_repair):
            own += [database, *wal_and_shm(database)]
        for file in own:
            require_file(file, self.path)
        require_directory(self.pictures, self.path)
        if self.pictures.exists():
            self._require_access_to_pictures()

    def _require_access_to_pictures(self) -> None:
        for day in day_folders(self.pictures):
            require_directory(day, self.path)
            for entry in stored_in(day):
                if not os.access(entry.path, os.R_OK, effective_ids=True):
                    require_file(Path(entry.path), self.path, write=False)


def file_system_type(path: Path) -> str:
    """Return the type of the network file system that holds `path`, "" for a local one."""
    magic = _statfs_magic(path)
    if magic in _NETWORK_TYPES:
        return _NETWORK_TYPES[magic]
    if magic == _FUSE_TYPE:
        return _network_fuse(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), path)
    return ""


def _statfs_magic(path: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)  # struct statfs is 120 bytes; f_type is its first word
    if libc.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise StoreError(f"cannot determine the file system of {path}: {os.strerror(code)}")
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def _network_fuse(mountinfo: str, path: Path) -> str:
    """Return the FUSE type (`fuse.sshfs`) of the mount that holds `path`, "" if it is local."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            fuse_type = after.split()[0]
            return fuse_type if any(name in fuse_type for name in _NETWORK_FUSE) else ""
    return ""


class DirectoryLock:
    """A lock that gives one process a data directory; the kernel releases it when the process ends."""

    def __init__(self, data_dir: DataDir, *, timeout: float = 3.0) -> None:
        """Take the lock.

        `timeout`: seconds to wait for a previous owner that is ending.

        Raises:
            StoreLockedError: another process holds it; the message names its process id.
            AccessDeniedError: this user may not use the directory or the file.
            StoreError: the file cannot be created.
        """
        self._data_dir = data_dir
        self._handle = self._acquire(timeout)

    def _acquire(self, timeout: float) -> int:
        require_directory(self._data_dir.path)
        require_file(self._data_dir.lock, self._data_dir.path)
        try:
            handle = os.open(self._data_dir.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {self._data_dir.lock}: {error.strerror}") from error
        if not _flock(handle, time.monotonic() + timeout):
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
        """Lock the present file, if the locked one was removed.

        Raises:
            StoreLockedError: another process has locked the present file.
        """
        locked = os.fstat(self._handle)
        if self._data_dir.lock.exists() and os.path.samestat(locked, self._data_dir.lock.stat()):
            return
        removed, self._handle = self._handle, self._acquire(0.0)
        os.close(removed)

    def release(self) -> None:
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _flock(handle: int, deadline: float) -> bool:
    """Lock the file; return False if another process still holds the lock at the deadline."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True
