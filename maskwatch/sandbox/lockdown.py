"""What supervisor and recorder give up, also where no systemd unit does it for them.

They read what workers, brokers and clients send. Unlike a worker they need the disk and other peers, so
this is a list of what they never do. `unshare` is not on it, since a worker leaves the network by it.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import resource

from maskwatch.sandbox import bpf
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


def lock_down(*, hidden: bool) -> list[str]:
    """Give up what this process never needs, irrevocably; return the names of the layers in force.

    What it starts inherits all of this except `hidden`: no process of its user may read its memory.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    layers = ["no core dumps"]
    if hidden and libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        layers.append("hidden memory")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers += ["no new privileges", *_filter()]
    _log.info("locked down: %s", ", ".join(layers))
    return layers


def _filter() -> list[str]:
    if not bpf.supported():
        return []
    refuse = bpf.errno_action(errno.EPERM)
    rules = {name: Rule(refuse) for name in _NEVER.split()}
    program = bpf.compile_program(rules, known=bpf.ALLOW, unknown=bpf.ALLOW)
    try:
        bpf.install(program)
    except OSError as error:
        _log.info("the kernel refuses a seccomp filter: %s", error.strerror)
        return []
    return ["seccomp"]
