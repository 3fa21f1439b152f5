"""How an attack calls the kernel: by number, as shellcode does.

What the C library refuses itself proves nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable

import msgspec

from maskwatch.sandbox.syscalls import NUMBERS as _NUMBERS

NUMBERS = _NUMBERS[platform.machine()]
AT_FDCWD = -100
NOTHING = bytes(256)


class Targets(msgspec.Struct, frozen=True):
    """What belongs to others.

    Attributes:
        victims: processes: supervisor, recorder, another worker.
        file: a file of the recorder.
        folder: a directory of the recorder.
        unix: a path socket of another service.
        tcp: a port of another service on this machine.
        udp: a UDP port of another service on this machine.
    """

    victims: tuple[int, ...]
    file: str
    folder: str
    unix: str
    tcp: int
    udp: int


Attack = Callable[[Targets], object]


def call(name: str, *arguments: object) -> int:
    """Make a system call; raise OSError as it fails, ENOSYS if this processor has no such call."""
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(errno.ENOSYS, name)
    return call_number(number, *arguments)


def call_number(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def calls(name: str, *arguments: object) -> Attack:
    """Return the attack that is one call with these arguments."""
    return lambda _: call(name, *arguments)


def on_victims(name: str, *arguments: object, at: int = 0) -> Attack:
    """Return the attack that puts each victim's process id into the argument `at`; one must succeed."""

    def attack(targets: Targets) -> None:
        failure = OSError(errno.ESRCH, "no victim")
        for victim in targets.victims:
            given = list(arguments)
            given.insert(at, victim)
            try:
                call(name, *given)
            except OSError as error:
                failure = error
            else:
                return
        raise failure

    return attack


def on_path(name: str, *arguments: object, folder: bool = False, at: int = 0) -> Attack:
    """Return the attack that puts the path of the recorder's file or folder into the argument `at`."""

    def attack(targets: Targets) -> None:
        given = list(arguments)
        given.insert(at, path_of(targets.folder if folder else targets.file))
        call(name, *given)

    return attack


def on_open_file(name: str, *arguments: object) -> Attack:
    """Return the attack on an open file: one that the worker may read stands for an inherited one."""
    return lambda _: call(name, os.open(msgspec.__file__, os.O_RDONLY), *arguments)


def path_of(path: str) -> bytes:
    """Return a path as the kernel takes it."""
    return os.fsencode(path) + b"\0"


def buffer(size: int = 256) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(size)
