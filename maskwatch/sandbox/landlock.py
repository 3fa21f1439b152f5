"""Landlock (Linux 5.13 and later): a process irrevocably gives up rights to files and ports.

Linux's Documentation/userspace-api/landlock.rst; the numbers of the system calls are the same on
every architecture.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
from collections.abc import Collection, Iterable
from pathlib import Path

_log = logging.getLogger(__name__)

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_VERSION = 1
_RULE_PATH, _RULE_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_ONLY = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14  # truncate
# How many of the rights to files each version has.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FILE_RIGHTS = 16
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES = 0b11  # abstract sockets, signals


def abi() -> int:
    """Return the version that the kernel offers, 0 for none."""
    version = _call(_CREATE_RULESET, None, 0, _CREATE_VERSION)
    return max(0, version)


def restrict(readable: Iterable[Path], writable: Iterable[str], ports: Collection[int]) -> list[str]:
    """Give up all rights to files and TCP but these; return the layers in force.

    Args:
        readable: files, and directories with all below them, to be read.
        writable: device files to be read and written.
        ports: TCP ports to be connected to.
    """
    version = abi()
    if version == 0:
        _log.info("this kernel has no Landlock: the worker's access to files is not restricted")
        return []
    handled = (1 << _FILE_RIGHTS.get(version, _NEWEST_FILE_RIGHTS)) - 1
    ruleset = _create(version, handled)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for name in writable:
            _allow(ruleset, Path(name), (_READ_FILE | _WRITE_FILE) & handled)
        if version >= 4:
            for port in ports:
                _add(ruleset, _RULE_PORT, struct.pack("QQ", _CONNECT_TCP, port))
        _check(_call(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)
    return [f"Landlock {version}"]


def _create(version: int, handled: int) -> int:
    fields = [handled]
    fields += [_BIND_TCP | _CONNECT_TCP] if version >= 4 else []
    fields += [_SCOPES] if version >= 6 else []
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    return _check(_call(_CREATE_RULESET, attributes, len(attributes), 0), "landlock_create_ruleset")


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a missing path needs no rule
    try:
        if not path.is_dir():
            rights &= _FILE_ONLY
        _add(ruleset, _RULE_PATH, struct.pack("=Qi", rights, fd))
    finally:
        os.close(fd)


def _add(ruleset: int, kind: int, rule: bytes) -> None:
    _check(_call(_ADD_RULE, ruleset, kind, rule, 0), "landlock_add_rule")


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(libc.syscall(ctypes.c_long(number), *converted))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
