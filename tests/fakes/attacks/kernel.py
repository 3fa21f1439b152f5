"""Attacks by the kernel's other interfaces, and on the filter itself."""

from __future__ import annotations

import struct

from maskwatch.sandbox import seccomp
from maskwatch.sandbox.seccomp import Network
from tests.fakes.attacks.calls import NOTHING, NUMBERS, Attack, buffer, call_number, calls

KERNEL: dict[str, Attack] = {
    "io_uring": calls("io_uring_setup", 1, buffer()),
    "bpf": calls("bpf", 0, NOTHING, 48),
    "io_uring_register": calls("io_uring_register", 0, 0, 0, 0),
    "asynchronous I/O": calls("io_setup", 1, buffer()),
    "userfaultfd": calls("userfaultfd", 1),
    "shared memory that no limit counts": calls("mmap", 0, 1 << 20, 3, 0x21, -1, 0),
    "stacks that no limit counts": calls("mmap", 0, 1 << 20, 3, 0x122, -1, 0),
    "a higher limit": calls("prlimit64", 0, 7, struct.pack("QQ", 4096, 4096), 0),
    "landlock_create_ruleset": calls("landlock_create_ruleset", NOTHING, 8, 0),
    "request_key": calls("request_key", b"user\0", b"x\0", 0, -3),
    "quotactl": calls("quotactl", 0x80000000, 0, 0, 0),
    "keyctl": calls("keyctl", 0, -3, 0),
    "add_key": calls("add_key", b"user\0", b"x\0", b"x", 1, -3),
    "mount": calls("mount", b"x\0", b"/\0", b"tmpfs\0", 0, 0),
    "fsopen": calls("fsopen", b"tmpfs\0", 0),
    "personality": calls("personality", 0x0040000),
    "modify_ldt": calls("modify_ldt", 0, buffer(), 16),
    "syslog": calls("syslog", 10, 0, 0),
    "sethostname": calls("sethostname", b"x", 1),
    "settimeofday": calls("settimeofday", 0, 0),
    "adjtimex": calls("adjtimex", buffer()),
    "seccomp": calls("seccomp", 2, 0, struct.pack("I", 0x7FFF0000)),
    "fanotify": calls("fanotify_init", 0, 0),
    "TIOCSTI": calls("ioctl", 0, 0x5412, b"x"),
    "reboot": calls("reboot", 0, 0, 0, 0),
    "acct": calls("acct", 0),
    "timer": calls("timer_create", 0, 0, buffer()),
    "umask": calls("umask", 0),
    "its own events": calls("perf_event_open", NOTHING, 0, -1, -1, 0),
    "a number beyond the table": lambda _: call_number(600),
    "another numbering of calls": lambda _: call_number(0x40000000 | 39),  # x32
}
_LISTED = seccomp.rules(Network(tcp=True, udp=True, names=True, local=True, listener=0)).keys()
UNLISTED: dict[str, Attack] = {
    name: calls(name, 0, 0, 0, 0, 0, 0) for name in NUMBERS if name not in _LISTED
}
"""Every system call without a rule."""
