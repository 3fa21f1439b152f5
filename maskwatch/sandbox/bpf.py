"""A seccomp program: rules for system calls, compiled to classic BPF and installed.

An own compiler of forty lines, since libseccomp needs a C library that neither pip nor the slim
container images bring, see docs/dependencies.md.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from maskwatch.sandbox.syscalls import NUMBERS

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
NOTIFY = 0x7FC00000
_ERRNO = 0x00050000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _GREATER, _GREATER_EQUAL = 0x15, 0x25, 0x35
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _LOG, _NEW_LISTENER = 1, 1 << 1, 1 << 3
_FAIL = -1  # a jump to the next alternative

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Argument:
    """Accepts a call whose argument `index`, of which `mask` is looked at, is one of `values`.

    The kernel takes an `int` from the lower half of a register: only with `wide` does the upper count.
    With `below`, the argument must be lower than it, as an unsigned number.
    """

    index: int
    values: tuple[int, ...] = ()
    mask: int = 0xFFFFFFFF
    wide: bool = False
    below: int = 0

    def instructions(self) -> list[_Instruction]:
        offset = _ARGUMENTS + 8 * self.index
        code: list[_Instruction] = []
        if self.wide:
            code += [(_LOAD, 0, 0, offset + 4), (_EQUAL, 0, _FAIL, 0)]
        code.append((_LOAD, 0, 0, offset))
        if self.below:
            return [*code, (_GREATER_EQUAL, _FAIL, 0, self.below)]
        if self.mask != 0xFFFFFFFF:
            code.append((_AND, 0, 0, self.mask))
        last = len(self.values) - 1
        for position, value in enumerate(self.values):
            code.append((_EQUAL, last - position, 0 if position < last else _FAIL, value))
        return code


Alternative = tuple[Argument, ...]
"""Conditions that must all hold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to a call: `action` if one of the alternatives holds, otherwise the default.

    Without alternatives, `action` in any case.
    """

    action: int = ALLOW
    alternatives: tuple[Alternative, ...] = ()


def errno_action(number: int) -> int:
    return _ERRNO | number


def supported() -> bool:
    """Return whether there are programs for this processor."""
    return platform.machine() in _ARCHES


def compile_program(
    rules: Mapping[str, Rule], *, known: int, unknown: int, machine: str = ""
) -> list[_Instruction]:
    """Return the program for this processor, or for `machine`.

    A call through another architecture's interface kills the process. `known` is the action for the
    calls of the table without a rule, or none of whose alternatives holds; `unknown` that for others.
    """
    machine = machine or platform.machine()
    numbers = NUMBERS[machine]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _ARCHES[machine]),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":  # the x32 interface has other numbers for the same calls
        program += [(_GREATER_EQUAL, 0, 1, _X32), (_RETURN, 0, 0, errno_action(errno.EPERM))]
    for name, rule in rules.items():
        if name in numbers:
            body = _body(rule, known)
            program += [(_EQUAL, 0, len(body), numbers[name]), *body]
    program += [(_GREATER, 0, 1, max(numbers.values())), (_RETURN, 0, 0, unknown)]
    return [*program, (_RETURN, 0, 0, known)]


def _body(rule: Rule, otherwise: int) -> list[_Instruction]:
    if not rule.alternatives:
        return [(_RETURN, 0, 0, rule.action)]
    code: list[_Instruction] = []
    for alternative in rule.alternatives:
        part = [each for argument in alternative for each in argument.instructions()]
        code += _resolve([*part, (_RETURN, 0, 0, rule.action)])
    return [*code, (_RETURN, 0, 0, otherwise)]


def _resolve(code: list[_Instruction]) -> list[_Instruction]:
    """Replace each jump to `_FAIL` by one behind the end of `code`."""

    def target(position: int, jump: int) -> int:
        return len(code) - position - 1 if jump == _FAIL else jump

    return [(op, target(at, yes), target(at, no), k) for at, (op, yes, no, k) in enumerate(code)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install(program: Iterable[_Instruction], *, listener: bool = False, logged: bool = False) -> int:
    """Install a program irrevocably; return the descriptor of its notifications, or 0 without.

    Needs no_new_privs. The listener's descriptor is closed when a program is executed. With `logged`,
    the kernel's audit log names each refused call, from Linux 4.14.

    Raises:
        OSError: the kernel refuses it.
    """
    code = b"".join(struct.pack("HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    structure = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    number = ctypes.c_long(_SECCOMP[platform.machine()])
    flags = _NEW_LISTENER * listener | _LOG * logged
    result = libc.syscall(number, _SET_MODE_FILTER, flags, ctypes.byref(structure))
    if result < 0 and not listener:
        result = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(structure), 0, 0)
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, f"seccomp: {os.strerror(failed)}")
    return int(result)
