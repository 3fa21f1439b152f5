"""What a worker gives up of its identity: its user, capabilities, and the machine's namespaces."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Iterable
from pathlib import Path

from maskwatch.sandbox.kernel import is_at_least

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 1, 2, 8, 24
_CAPABILITY_VERSION = 0x20080522
_DAC_READ_SEARCH, _SETGID, _SETUID, _SYS_PTRACE = 2, 6, 7, 19
_NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_NET = 0x04000000, 0x08000000, 0x10000000, 0x40000000
# systemd's list of ids assigns the first range to nothing, and the second to services without a user. A
# container may have no higher ones than these.
_UNUSED_USERS = (0x70000000, 1 << 22), (61184, 4336)
_MAX_THREADS = 256


def own_process_space() -> list[str]:
    """Return the layers that `maskwatch.sandbox.namespaces` has put in force."""
    return ["process namespace"] if os.getpid() == 1 else []


def own_namespaces() -> list[str]:
    """Leave the machine's network, IPC and host name; return the layers in force.

    Root needs no user namespace for that; another user does, and not every system permits it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = _NEW_NET | _NEW_IPC | _NEW_UTS
    if libc.unshare(spaces) == 0 or libc.unshare(spaces | _NEW_USER) == 0:
        return ["network namespace"]
    return []


def own_user() -> list[str]:
    """Become a user that owns nothing and that no other process has; return the layers in force.

    Only root may do that. What reads this process afterwards needs CAP_SYS_PTRACE, as root has it. The
    capabilities are kept, to be dropped later.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    effective, _ = _capabilities(libc)
    if os.geteuid() != 0 or any(not effective >> each & 1 for each in (_SETUID, _SETGID, _SYS_PTRACE)):
        return []
    signal = ctypes.c_int()
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(signal), 0, 0, 0)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    user = _become_unused_user()
    libc.prctl(_PR_SET_PDEATHSIG, signal.value, 0, 0, 0)  # the change has undone it
    return [f"user {user}"] if user else []


def _become_unused_user() -> int:
    """Return the user's id, 0 for none. No two live processes have the same."""
    for first, count in _UNUSED_USERS:
        try:
            # Also in a process namespace, this is the machine's number of the process.
            user = first + int(Path("/proc/self").readlink().name) % count
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError:
            continue
        return user
    return 0


def limit_threads(layers: Iterable[str]) -> list[str]:
    """Limit the threads of a process with its own user or user namespace; return the layers in force.

    Elsewhere the kernel would count those of all processes of the user. `layers`: those in force.
    """
    own_user = any(layer.startswith("user ") for layer in layers)
    if not own_user and not (_in_own_user_namespace() and is_at_least(5, 14)):
        return []
    resource.setrlimit(resource.RLIMIT_NPROC, (_MAX_THREADS, _MAX_THREADS))
    return ["thread limit"]


def _in_own_user_namespace() -> bool:
    """Return whether this process is in a user namespace that has no name for any user."""
    try:
        return not Path("/proc/self/uid_map").read_text(encoding="ascii").strip()
    except OSError:  # a kernel without user namespaces
        return False


def drop_capabilities(files: Iterable[str | Path]) -> list[str]:
    """Give up all capabilities; return the layers in force.

    One remains where root could not read one of `files` otherwise: to read and search everywhere, within
    the limits of Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _, permitted = _capabilities(libc)
    _set(libc, permitted=permitted, effective=permitted)
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # beyond the last one, or not permitted: then there are none to be dropped
    reading = 1 << _DAC_READ_SEARCH
    if permitted & reading and _set(libc, permitted=reading, effective=0):
        readable = all(_is_readable(path) for path in files if path)
        if not readable and _set(libc, permitted=reading, effective=reading):
            return ["no capabilities but reading"]
    return ["no capabilities"] if _set(libc, permitted=0, effective=0) else []


def _is_readable(path: str | Path) -> bool:
    needed = os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK  # noqa: PTH112 - a closed parent is no error
    return os.access(path, needed, effective_ids=True)


def _capabilities(libc: ctypes.CDLL) -> tuple[int, int]:
    """Return the effective and the permitted ones, as sets of bits."""
    data = ctypes.create_string_buffer(24)
    libc.capget(struct.pack("Ii", _CAPABILITY_VERSION, 0), data)
    low_effective, low_permitted, _, effective, permitted, _ = struct.unpack("6I", data.raw)
    return low_effective | effective << 32, low_permitted | permitted << 32


def _set(libc: ctypes.CDLL, *, permitted: int, effective: int) -> bool:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    low, high = 0xFFFFFFFF, 32
    sets = (effective & low, permitted & low, 0, effective >> high, permitted >> high, 0)
    return bool(libc.capset(header, struct.pack("6I", *sets)) == 0)
