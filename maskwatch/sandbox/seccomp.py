"""A seccomp filter: system calls that a decoder never needs fail with EPERM.

The list names refused calls, not allowed ones: Python, FFmpeg and three inference libraries change
their calls with each version, and a worker killed for a harmless new call would leave a camera
unwatched. x86-64 and arm64; elsewhere there is no filter.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import struct
from dataclasses import dataclass

_log = logging.getLogger(__name__)

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_NR, _ARCH, _ARG0 = 0, 4, 16  # offsets in struct seccomp_data; arguments are little-endian here
_X32 = 0x40000000
_CLONE_THREAD = 0x00010000
_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink (name resolution asks it for addresses)

# name: (x86-64, arm64); None where there is no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "accept": (43, 202),
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "finit_module": (313, 273),
    "fork": (57, None),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listen": (50, 201),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vfork": (58, None),
    "vhangup": (153, 58),
}


@dataclass(frozen=True, slots=True)
class _Machine:
    column: int
    audit_arch: int
    clone: int
    clone3: int
    socket: int


_MACHINES = {
    "x86_64": _Machine(0, 0xC000003E, 56, 435, 41),
    "aarch64": _Machine(1, 0xC00000B7, 220, 435, 198),
}

_Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def restrict() -> list[str]:
    """Install the filter irrevocably; return the layers in force. Needs no_new_privs."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        _log.info("no seccomp filter for this processor, %s", platform.machine())
        return []
    code = b"".join(struct.pack("HBBI", *each) for each in _filter(machine))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        _log.info("the kernel refuses a seccomp filter: %s", os.strerror(ctypes.get_errno()))
        return []
    return ["seccomp"]


def _filter(machine: _Machine) -> list[_Instruction]:
    """Return the program: a call by another architecture kills the process; others are looked up."""
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, machine.audit_arch),
        _return(_KILL_PROCESS),
        (_LOAD, 0, 0, _NR),
    ]
    if machine.column == 0:  # the x32 interface has other numbers for the same calls
        program += [(_JUMP_GREATER_EQUAL, 0, 1, _X32), _refuse(errno.EPERM)]
    for numbers in _REFUSED.values():
        number = numbers[machine.column]
        if number is not None:
            program += [(_JUMP_EQUAL, 0, 1, number), _refuse(errno.EPERM)]
    # The C library falls back to clone, whose flags a filter can see.
    program += [(_JUMP_EQUAL, 0, 1, machine.clone3), _refuse(errno.ENOSYS)]
    program += _restrict_clone(machine)
    program += _restrict_families(machine)
    program.append(_return(_ALLOW))
    return program


def _restrict_clone(machine: _Machine) -> list[_Instruction]:
    return [
        (_JUMP_EQUAL, 0, 4, machine.clone),
        (_LOAD, 0, 0, _ARG0),
        (_JUMP_BITS, 0, 1, _CLONE_THREAD),
        _return(_ALLOW),
        _refuse(errno.EPERM),
    ]


def _restrict_families(machine: _Machine) -> list[_Instruction]:
    checks: list[_Instruction] = []
    for family in _FAMILIES:
        checks += [(_JUMP_EQUAL, 0, 1, family), _return(_ALLOW)]
    body = [(_LOAD, 0, 0, _ARG0), *checks, _refuse(errno.EPERM)]
    return [(_JUMP_EQUAL, 0, len(body), machine.socket), *body]


def _return(value: int) -> _Instruction:
    return (_RETURN, 0, 0, value)


def _refuse(number: int) -> _Instruction:
    return _return(_ERRNO | number)
