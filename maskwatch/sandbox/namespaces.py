"""Starts a worker in a process namespace of its own: it has no number for any other process.

`unshare` puts only later children into a new process namespace. So the process that a parent starts has
a brother made in its place, which is the parent's own child, and ends::

    supervisor -- fork --> helper -- unshare, clone(CLONE_PARENT) --> worker -- exec
        |______________________________________________________________|

A user other than root needs a user namespace for that. There, the worker keeps two capabilities through
`exec`, with which it leaves the network later and gives up all capabilities; outside, they are worth
nothing.

A worker that the zygote forks (`fork_isolated`) needs no helper: `clone` makes it in one step.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import struct
import threading
from collections.abc import Callable

from maskwatch.sandbox.syscalls import NUMBERS

_NEW_USER, _NEW_PID, _CLONE_PARENT = 0x10000000, 0x20000000, 0x8000
_CHILD_CLEARTID, _CHILD_SETTID, _PR_GET_TID_ADDRESS = 0x200000, 0x1000000, 40
_CAPABILITY_VERSION, _SETPCAP, _SYS_ADMIN = 0x20080522, 8, 21
_PR_CAP_AMBIENT, _RAISE = 47, 2
REPORT = struct.Struct("=i")
"""The process id of the worker, as its parent sees it."""
_GO = b"g"
_OUTSIDE = 0  # the parent's process id, as the new namespace shows it
# Loaded here: between fork and exec, loading a library could wait for a lock for ever.
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def replace_by_isolated(parent: int, report: int, tie: Callable[[int], object]) -> None:
    """Between fork and exec: return in a process of a new namespace, and end the one that calls.

    Where the system does not permit that, return in the process that calls.

    Args:
        parent: the process id of the parent, which is that of both.
        report: the descriptor to which the new process id is written; nothing without one.
        tie: has the kernel end the calling process with its parent, and ends it if `os.getppid` is not
            what it is given.

    Raises:
        OSError: the system cannot start a process now.
    """
    tie(parent)
    number = NUMBERS.get(platform.machine(), {}).get("clone")
    if number is None or not _unshare():
        return
    near, far = socket.socketpair()
    arguments = (number, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    pid = int(_libc.syscall(*map(ctypes.c_long, arguments)))
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    if pid == 0:
        near.close()
        tie(_OUTSIDE)
        _wait_for_helper(far)
        return
    os.write(report, REPORT.pack(pid))  # first: the parent must know whom to wait for, whoever is killed
    far.close()
    if near.recv(1) == _GO:
        tie(parent)  # a parent that has ended before the other was tied to it ends both here
        near.send(_GO)
    os._exit(0)


def can_fork_isolated() -> bool:
    """Return whether `fork_isolated` works here: the C library's thread number must be found."""
    return platform.machine() in NUMBERS and _thread_id_address() != 0


def fork_isolated() -> int:
    """Fork a process whose parent is this one's parent; return 0 in it, and its process id here.

    It is in a process namespace of its own where the system permits that. To be called in a process of
    one thread, for which `can_fork_isolated`.

    Raises:
        OSError: the system cannot start a process now.
    """
    ctypes.pythonapi.PyOS_BeforeFork()
    pid, error = _clone_isolated()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        if os.getpid() == 1 and os.geteuid() != 0:
            _keep_two_capabilities()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid


def _clone_isolated() -> tuple[int, int]:
    """Return what `clone` has returned, and the error."""
    address = _thread_id_address()
    number = NUMBERS[platform.machine()]["clone"]
    for spaces in (_NEW_PID, _NEW_USER | _NEW_PID, 0):
        flags = spaces | _CLONE_PARENT | _CHILD_SETTID | _CHILD_CLEARTID | signal.SIGCHLD
        # The address comes fourth or fifth, by the kind of processor; the other one is not used.
        pid = int(_libc.syscall(*map(ctypes.c_long, (number, flags, 0, 0, address, address))))
        if pid >= 0:
            break
    return pid, ctypes.get_errno()


def _thread_id_address() -> int:
    """Return where the C library keeps this thread's number, which `fork` would update; 0 if unknown."""
    address = ctypes.c_void_p()
    if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) != 0 or not address.value:
        return 0
    known = ctypes.c_int.from_address(address.value).value == threading.get_native_id()
    return address.value if known else 0


def _wait_for_helper(helper: socket.socket) -> None:
    """Ask the helper whether the parent still lives, which a process in its own namespace cannot see."""
    with helper:
        helper.send(_GO)
        if helper.recv(1) != _GO:
            os._exit(0)


def _unshare() -> bool:
    if _libc.unshare(_NEW_PID) == 0:
        return True
    if _libc.unshare(_NEW_USER | _NEW_PID) != 0:
        return False
    _keep_two_capabilities()
    return True


def _keep_two_capabilities() -> None:
    """Drop all capabilities in the new user namespace but two, which outlive `exec`."""
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    kept = 1 << _SETPCAP | 1 << _SYS_ADMIN
    if _libc.capset(header, struct.pack("6I", kept, kept, kept, 0, 0, 0)) == 0:
        for capability in (_SETPCAP, _SYS_ADMIN):
            _libc.prctl(_PR_CAP_AMBIENT, _RAISE, capability, 0, 0)
