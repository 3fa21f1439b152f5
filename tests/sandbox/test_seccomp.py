"""The filter's programs, run by an interpreter for both processors."""

from __future__ import annotations

import errno
import os

import pytest

from maskwatch.sandbox import bpf, seccomp
from maskwatch.sandbox.seccomp import Network
from maskwatch.sandbox.syscalls import NUMBERS

REFUSE = bpf.errno_action(errno.EPERM)
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = sorted(NUMBERS)


def action_of(
    machine: str, number: int, *arguments: int, network: Network | None = None, arch: int = 0
) -> int:
    """Return what the filter does with a call."""
    rules = seccomp.rules(network or Network())
    unknown = bpf.errno_action(errno.ENOSYS)
    program = bpf.compile_program(rules, known=REFUSE, unknown=unknown, machine=machine)
    words = {0: number, 4: arch or ARCHES[machine]}
    for index, argument in enumerate((*arguments, *[0] * (6 - len(arguments)))):
        words[16 + 8 * index] = argument & 0xFFFFFFFF
        words[20 + 8 * index] = argument >> 32 & 0xFFFFFFFF
    position = accumulator = 0
    while True:
        operation, yes, no, value = program[position]
        position += 1
        match operation:
            case 0x06:
                return value
            case 0x20:
                accumulator = words[value]
            case 0x54:
                accumulator &= value
            case _:
                compare = {0x15: int.__eq__, 0x25: int.__gt__, 0x35: int.__ge__}[operation]
                position += yes if compare(accumulator, value) else no


def call(machine: str, name: str, *arguments: int, network: Network | None = None) -> int:
    return action_of(machine, NUMBERS[machine][name], *arguments, network=network)


@pytest.mark.parametrize("machine", MACHINES)
def test_only_listed_calls_are_allowed_and_unknown_ones_do_not_exist(machine: str) -> None:
    rules = seccomp.rules(Network())
    for name, number in NUMBERS[machine].items():
        if name not in rules:
            assert action_of(machine, number) == REFUSE, name
    assert action_of(machine, 999) == bpf.errno_action(errno.ENOSYS)
    assert call(machine, "read") == bpf.ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_are_not_made(machine: str) -> None:
    number = NUMBERS[machine]["read"]
    assert action_of(machine, number, arch=0x40000003) == bpf.KILL_PROCESS  # 32 bits
    assert action_of("x86_64", 0x40000000) == REFUSE  # x32


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["prlimit64", "sched_getaffinity", "sched_getscheduler"])
def test_a_process_id_is_ones_own_or_none(machine: str, name: str) -> None:
    assert call(machine, name, 0) == call(machine, name, os.getpid()) == bpf.ALLOW
    # The kernel reads the lower half: the upper one must not hide another process.
    for pid in (1, os.getppid(), 2**32 - 1, 1 << 32 | 1, -1):
        assert call(machine, name, pid) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_limits_are_read_and_not_set(machine: str) -> None:
    assert call(machine, "prlimit64", 0, 7, 0, 4096) == bpf.ALLOW
    for pointer in (4096, 1 << 32):
        assert call(machine, "prlimit64", 0, 7, pointer, 0) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_files_are_opened_for_reading_only(machine: str) -> None:
    directory = os.O_DIRECTORY | os.O_CLOEXEC
    for flags in (os.O_RDONLY, directory, os.O_NONBLOCK | os.O_NOFOLLOW):
        assert call(machine, "openat", 0, 0, flags) == bpf.ALLOW
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE, os.O_APPEND, 3):
        assert call(machine, "openat", 0, 0, flags) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_are_made_by_domain_type_and_protocol(machine: str) -> None:
    camera = Network(tcp=True)
    for domain in (2, 10):
        for protocol in (0, 6):
            assert call(machine, "socket", domain, 1 | 0x80800, protocol, network=camera) == bpf.ALLOW
    wrong = [
        (2, 1, 262),
        (2, 2, 0),
        (2, 2, 17),
        (2, 3, 0),
        (2, 1, 132),
        (1, 1, 0),
        (16, 3, 0),
        (17, 3, 0),
    ]
    for arguments in wrong:
        assert call(machine, "socket", *arguments, network=camera) == REFUSE
    udp = Network(tcp=True, udp=True)
    assert call(machine, "socket", 2, 2, 0, network=udp) == bpf.ALLOW
    assert call(machine, "socket", 2, 2, 136, network=udp) == REFUSE
    assert call(machine, "socket", 2, 1, 0) == REFUSE  # a file in place of a camera


@pytest.mark.parametrize("machine", MACHINES)
def test_a_thread_is_no_process_and_has_no_namespace(machine: str) -> None:
    thread = 0x3D0F00
    assert call(machine, "clone", thread) == bpf.ALLOW
    for flags in (17, 0x4111, thread & ~0x10000, thread | 0x10000000, thread | 0x40000000):
        assert call(machine, "clone", flags) == REFUSE
    assert call(machine, "clone3") == bpf.errno_action(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_data_is_sent_only_on_a_connected_socket_and_never_with_the_handshake(machine: str) -> None:
    camera = Network(tcp=True)
    assert call(machine, "sendto", 3, 4096, 10, 0x4000, 0, 0, network=camera) == bpf.ALLOW
    for flags, address in ((0, 4096), (0, 1 << 32), (0x20000000, 0)):
        assert call(machine, "sendto", 3, 4096, 10, flags, address, network=camera) == REFUSE
