"""What supervisor and recorder give up, also where no systemd unit does it for them.

They read what workers, brokers and clients send. The recorder may only call what it needs. What the
supervisor may call, its workers may too before they are sandboxed, so it has a list of what it never
does. `unshare` is not on it: with it a worker enters its namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from maskwatch.sandbox import bpf, recorder_calls
from maskwatch.sandbox.bpf import Rule

_log = logging.getLogger(__name__)
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_NEVER = """
acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init
finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register
io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl modify_ldt mount mount_setattr
move_mount open_by_handle_at open_tree open_tree_attr perf_event_open personality pivot_root
process_madvise process_vm_writev ptrace quotactl quotactl_fd reboot request_key setdomainname
sethostname setns settimeofday swapoff swapon syslog umount2 userfaultfd vhangup
"""


def lock_down_supervisor() -> list[str]:
    """Give up what the supervisor never needs; no process of its user may read its memory."""
    never = dict.fromkeys(_NEVER.split(), Rule(bpf.errno_action(errno.EPERM)))
    return _lock_down([_Filter(never)], hidden=True)


def lock_down_recorder() -> list[str]:
    """Give up all that the recorder does not need. The supervisor counts its descriptors."""
    unknown = bpf.errno_action(errno.ENOSYS)
    # A filter of its own, which logs nothing: the C library tries these calls each time.
    fallbacks = _Filter(dict.fromkeys(recorder_calls.FALLBACKS, Rule(unknown)))
    rules = recorder_calls.rules()
    needed = _Filter(rules, known=bpf.errno_action(errno.EPERM), unknown=unknown, logged=True)
    return _lock_down([fallbacks, needed], hidden=False)


@dataclass(frozen=True, slots=True)
class _Filter:
    """Rules, and the actions for other calls; see `bpf.compile_program` and `bpf.install`."""

    rules: Mapping[str, Rule]
    known: int = bpf.ALLOW
    unknown: int = bpf.ALLOW
    logged: bool = False


def _lock_down(filters: Iterable[_Filter], *, hidden: bool) -> list[str]:
    """Lock this process down irrevocably; return the names of the layers in force.

    What it starts inherits all of this except `hidden`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    layers = ["no core dumps"]
    if hidden and libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        layers.append("hidden memory")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers += ["no new privileges", *_install(filters)]
    _log.info("locked down: %s", ", ".join(layers))
    return layers


def _install(filters: Iterable[_Filter]) -> list[str]:
    if not bpf.supported():
        return []
    try:
        for each in filters:
            program = bpf.compile_program(each.rules, known=each.known, unknown=each.unknown)
            bpf.install(program, logged=each.logged)
    except OSError as error:
        _log.info("the kernel refuses a seccomp filter: %s", error.strerror)
        return []
    return ["seccomp"]
