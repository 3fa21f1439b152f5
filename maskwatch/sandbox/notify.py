"""The supervisor's side of a brokered filter: system calls of a worker that wait for an answer.

Linux's Documentation/userspace-api/seccomp_filter.rst, "Userspace Notification". What a call points to
may change while it is looked at: nothing here lets the kernel go on with the call of a worker. The
supervisor copies the arguments, acts itself, and hands over the result.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from dataclasses import dataclass

from maskwatch.sandbox.kernel import is_at_least
from maskwatch.sandbox.syscalls import NUMBERS

_RECEIVE, _SEND, _ADD_FD = 0xC0502100, 0xC0182101, 0x40182103
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_ADDITION = struct.Struct("=QIIII")
_REPLACE = 1
_PIDFD_GETFD = 438
_NAMES = {number: name for name, number in NUMBERS.get(platform.machine(), {}).items()}


def supported() -> bool:
    """Return whether this kernel can put descriptors into a process (Linux 5.9)."""
    return is_at_least(5, 9)


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that waits: its name and its six arguments."""

    id: int
    name: str
    arguments: tuple[int, ...]


class Listener:
    """The descriptor at which calls wait; it owns the descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def receive(self) -> Call | None:
        """Return a call that waits, None if the caller was interrupted or has ended."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._fd, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        id_, _, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        return Call(id_, _NAMES.get(number, str(number)), tuple(arguments))

    def answer(self, call: Call, value: int = 0, error: int = 0) -> None:
        """Have the call return `value`, or fail with the number `error`."""
        self._do(_SEND, bytearray(_RESPONSE.pack(call.id, value, -error, 0)))

    def give(self, call: Call, fd: int) -> int:
        """Put a copy of our descriptor into the worker; return its number there, -1 if it is gone."""
        return self._do(_ADD_FD, bytearray(_ADDITION.pack(call.id, 0, fd, 0, os.O_CLOEXEC)))

    def replace(self, call: Call, fd: int, theirs: int) -> None:
        """Put a copy of our descriptor into the place of one of the worker's."""
        self._do(_ADD_FD, bytearray(_ADDITION.pack(call.id, _REPLACE, fd, theirs, os.O_CLOEXEC)))

    def _do(self, request: int, buffer: bytearray) -> int:
        try:
            return int(fcntl.ioctl(self._fd, request, buffer))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINPROGRESS):  # the caller does not wait any more
                return -1
            raise

    def close(self) -> None:
        os.close(self._fd)


class Process:
    """Another process of which this one reads memory and copies descriptors.

    Raises:
        OSError: there is no such process, or the kernel has no such calls.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._fd = os.pidfd_open(pid)

    def memory(self, address: int, size: int) -> bytes:
        """Return a copy of its memory. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.process_vm_readv.restype = ctypes.c_ssize_t
        buffer = ctypes.create_string_buffer(size)
        local = struct.pack("QQ", ctypes.addressof(buffer), size)
        remote = struct.pack("QQ", address, size)
        read = libc.process_vm_readv(self._pid, local, 1, remote, 1, ctypes.c_ulong(0))
        if read != size:
            raise OSError(errno.EFAULT if read >= 0 else ctypes.get_errno(), "process_vm_readv")
        return buffer.raw

    def descriptor(self, number: int) -> int:
        """Return a copy of one of its descriptors. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        found = int(libc.syscall(ctypes.c_long(_PIDFD_GETFD), self._fd, number, 0))
        if found < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return found

    def close(self) -> None:
        os.close(self._fd)
