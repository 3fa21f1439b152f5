"""What a worker gives up of its identity: capabilities, and the machine's network and IPC namespaces."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION = 0x20080522
_DAC_READ_SEARCH = 2
_NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_NET = 0x04000000, 0x08000000, 0x10000000, 0x40000000


def own_namespaces() -> list[str]:
    """Leave the machine's network, IPC and host name; return the layers in force.

    Root needs no user namespace for that; another user does, and not every system permits it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = _NEW_NET | _NEW_IPC | _NEW_UTS
    if libc.unshare(spaces) == 0 or libc.unshare(spaces | _NEW_USER) == 0:
        return ["network namespace"]
    return []


def drop_capabilities(files: Iterable[str]) -> list[str]:
    """Give up all capabilities; return the layers in force.

    One remains where root could not read one of `files` otherwise: to read and search everywhere, within
    the limits of Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # beyond the last one, or not permitted: then there are none to be dropped
    reading = 1 << _DAC_READ_SEARCH
    if os.geteuid() == 0 and _set(libc, permitted=reading, effective=0):
        readable = all(os.access(path, os.R_OK, effective_ids=True) for path in files if path)
        if not readable and _set(libc, permitted=reading, effective=reading):
            return ["no capabilities but reading"]
    return ["no capabilities"] if _set(libc, permitted=0, effective=0) else []


def _set(libc: ctypes.CDLL, *, permitted: int, effective: int) -> bool:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    return bool(libc.capset(header, struct.pack("6I", effective, permitted, 0, 0, 0, 0)) == 0)
