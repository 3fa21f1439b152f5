"""Attacks on files of others, and on the file systems that hold them."""
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH208, PTH211 - the calls themselves are what is tried

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import msgspec

from tests.fakes.attacks.calls import (
    AT_FDCWD,
    NOTHING,
    Attack,
    Targets,
    buffer,
    call,
    calls,
    on_open_file,
    on_path,
    path_of,
)


def _write_through(targets: Targets) -> None:
    fd = os.open(targets.file, os.O_RDONLY)
    mmap.mmap(fd, 1, mmap.MAP_SHARED, mmap.PROT_WRITE)


def _new(targets: Targets) -> bytes:
    return path_of(f"{targets.folder}/new")


_TIMES = struct.pack("4Q", 1, 0, 1, 0)
FILE: dict[str, Attack] = {
    "read": lambda t: Path(t.file).read_bytes(),
    "list": lambda t: os.listdir(t.folder),
    "open for writing": lambda t: os.open(t.file, os.O_WRONLY),
    "open for reading and writing": lambda t: os.open(t.file, os.O_RDWR),
    "open and truncate": lambda t: os.open(t.file, os.O_TRUNC),
    "create": lambda t: os.open(t.folder + "/new", os.O_CREAT),
    "creat": on_path("creat", 0o600),
    "temporary file": lambda t: os.open(t.folder, os.O_TMPFILE | os.O_RDWR),
    "openat2": lambda t: call("openat2", AT_FDCWD, path_of(t.file), struct.pack("QQQ", 2, 0, 0), 24),
    "write through a map": _write_through,
    "chmod": on_path("chmod", 0o777),
    "chmod of the folder": on_path("chmod", 0o777, folder=True),
    "fchmod": lambda t: call("fchmod", os.open(t.file, os.O_RDONLY), 0o777),
    "fchmodat": lambda t: call("fchmodat", AT_FDCWD, path_of(t.file), 0o777),
    "fchmodat2": lambda t: call("fchmodat2", AT_FDCWD, path_of(t.file), 0o777, 0),
    "fsetxattr": on_open_file("fsetxattr", b"user.x\0", b"1", 1, 0),
    "fremovexattr": on_open_file("fremovexattr", b"user.x\0"),
    "fchown": on_open_file("fchown", os.getuid(), os.getgid()),
    "ftruncate": on_open_file("ftruncate", 0),
    "fallocate": on_open_file("fallocate", 0, 0, 1),
    "lease": on_open_file("fcntl", 1024, 0),
    "notification": lambda t: call("fcntl", os.open(t.folder, os.O_RDONLY), 1026, 1),
    "lock": on_open_file("fcntl", 6, struct.pack("hhqqi", 0, 0, 0, 0, 0)),
    "name_to_handle_at": on_path("name_to_handle_at", buffer(), buffer(), 0, at=1),
    "chown": on_path("chown", os.getuid(), os.getgid()),
    "lchown": on_path("lchown", os.getuid(), os.getgid()),
    "fchownat": lambda t: call("fchownat", AT_FDCWD, path_of(t.file), -1, -1, 0),
    "utime": on_path("utime", 0),
    "utimes": on_path("utimes", _TIMES),
    "utimensat": lambda t: call("utimensat", AT_FDCWD, path_of(t.file), _TIMES, 0),
    "futimesat": lambda t: call("futimesat", AT_FDCWD, path_of(t.file), 0),
    "setxattr": on_path("setxattr", b"user.x\0", b"1", 1, 0),
    "lsetxattr": on_path("lsetxattr", b"user.x\0", b"1", 1, 0),
    "setxattrat": lambda t: call("setxattrat", AT_FDCWD, path_of(t.file), 0, b"user.x\0", NOTHING, 16),
    "removexattr": on_path("removexattr", b"user.x\0"),
    "truncate": on_path("truncate", 0),
    "rename": lambda t: os.rename(t.file, t.file + ".old"),
    "link": lambda t: os.link(t.file, t.folder + "/new"),
    "symlink": lambda t: os.symlink("/etc", t.folder + "/new"),
    "unlink": lambda t: os.unlink(t.file),
    "mkdir": lambda t: os.mkdir(t.folder + "/new"),
    "rmdir": lambda t: os.rmdir(t.folder),
    "mknod": lambda t: call("mknodat", AT_FDCWD, _new(t), 0o010600, 0),
    "chdir": lambda t: os.chdir(t.folder),
    "chroot": lambda t: os.chroot(t.folder),
    "flock": lambda t: call("flock", os.open(t.folder, os.O_RDONLY), 2),
    "watch": calls("inotify_init1", 0),
    "FS_IOC_SETFLAGS": lambda t: call(
        "ioctl", os.open(t.file, os.O_RDONLY), 0x40086602, struct.pack("i", 0x10)
    ),
    "file_setattr": lambda t: call("file_setattr", AT_FDCWD, path_of(t.file), NOTHING, 24, 0),
    "open_by_handle_at": calls("open_by_handle_at", AT_FDCWD, NOTHING, 0),
    "flags in the upper half": lambda t: call("openat", AT_FDCWD, path_of(t.file), 1 | 1 << 32, 0),
    "read through a path descriptor": lambda t: os.open(
        f"/proc/self/fd/{os.open(t.file, os.O_PATH)}", os.O_RDONLY
    ),
    "read through /proc": lambda t: Path(f"/proc/self/root{t.file}").read_bytes(),
    "getxattr": lambda t: os.getxattr(t.file, "user.x"),
    "listxattr": lambda t: os.listxattr(t.file),
    "lremovexattr": on_path("lremovexattr", b"user.x\0"),
    "removexattrat": lambda t: call("removexattrat", AT_FDCWD, path_of(t.file), 0, b"user.x\0"),
    "renameat2": lambda t: call("renameat2", AT_FDCWD, path_of(t.file), AT_FDCWD, _new(t), 2),
    "link by descriptor": lambda t: call(
        "linkat", os.open(msgspec.__file__, os.O_RDONLY), b"\0", AT_FDCWD, _new(t), 0x1000
    ),
    "symlinkat": lambda t: call("symlinkat", b"/etc\0", AT_FDCWD, _new(t)),
    "unlinkat": lambda t: call("unlinkat", AT_FDCWD, path_of(t.file), 0),
    "mkdirat": lambda t: call("mkdirat", AT_FDCWD, _new(t), 0o700),
    "a device": lambda t: call("mknodat", AT_FDCWD, _new(t), 0o020600, 0x103),
    "a socket": lambda t: call("mknodat", AT_FDCWD, _new(t), 0o140600, 0),
    "fchdir": lambda _: call("fchdir", os.open("/usr", os.O_RDONLY)),
    "flock of a readable file": on_open_file("flock", 2),
    "lock by descriptor": on_open_file("fcntl", 37, struct.pack("hhqqi", 0, 0, 0, 0, 0)),
    "seals": on_open_file("fcntl", 1033, 1),
    "hint": on_open_file("fcntl", 1036, struct.pack("Q", 1)),
    "fsync": on_open_file("fsync"),
    "syncfs": on_open_file("syncfs"),
    "FS_IOC_FSSETXATTR": on_open_file("ioctl", 0x401C5820, NOTHING),
    "FIFREEZE": on_open_file("ioctl", 0xC0045877, 0),
    "FITRIM": on_open_file("ioctl", 0xC0185879, NOTHING),
    "FICLONE": on_open_file("ioctl", 0x40049409, 0),
    "a disk": lambda _: os.open("/dev/vda", os.O_RDONLY),
    "the kernel's log": lambda _: os.open("/dev/kmsg", os.O_RDONLY),
    "a terminal": lambda _: os.open("/dev/tty", os.O_RDONLY),
    "users": lambda _: Path("/etc/passwd").read_bytes(),
    "list /run": lambda _: os.listdir("/run"),
    "list /tmp": lambda _: os.listdir("/tmp"),
    "passwords": lambda _: Path("/etc/shadow").read_bytes(),
    "write to /tmp": lambda _: Path("/tmp/maskwatch-attack").write_bytes(b""),
    "write to /dev/shm": lambda _: Path("/dev/shm/maskwatch-attack").write_bytes(b""),
}
