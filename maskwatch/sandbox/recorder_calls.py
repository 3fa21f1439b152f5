"""The system calls of the recorder, and of what it starts to send messages to people.

The list is what the recorder was seen to call (`strace -f` of its tests, with webhooks and a broker),
and close relatives that other versions of Python and the C library use instead. Unlike a worker it
writes files, starts programs and connects to any host. It never changes its identity, the system, or
another process but its own children.
"""

from __future__ import annotations

from maskwatch.sandbox.bpf import ALLOW, Alternative, Argument, Rule
from maskwatch.sandbox.seccomp import HARMLESS

_FILES = """
open openat creat fcntl flock fsync fdatasync sync_file_range syncfs ftruncate truncate fallocate
copy_file_range sendfile splice umask chdir fchdir
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown utimensat utime utimes futimesat
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr memfd_create
"""
_SOCKETS = """
connect bind listen accept accept4 sendto sendmsg sendmmsg recvmsg recvmmsg socketpair
getsockopt setsockopt
"""
_PROCESSES = """
fork vfork execve execveat wait4 waitid kill tgkill tkill pidfd_open pidfd_send_signal arch_prctl
setsid setpgid getpgid getpgrp getsid capget
rt_sigsuspend rt_sigtimedwait signalfd signalfd4 alarm setitimer getitimer
timer_create timer_settime timer_gettime timer_delete timerfd_create timerfd_settime timerfd_gettime
eventfd clock_gettime clock_getres clock_nanosleep mlock2 mlockall munlockall msync
sched_getaffinity sched_getparam sched_getscheduler sched_setaffinity getpriority setpriority setrlimit
get_robust_list
"""
FALLBACKS = ("openat2", "clone3")
"""Where these do not exist, the C library uses calls whose arguments a filter can see."""
_NEW_NAMESPACES = 0x7E020000 | 0x80
# Its parent's death, core dumps, its name, capabilities, filters, privileges, names of memory.
_PR_ALLOWED = (1, 2, 3, 4, 15, 16, 21, 23, 38, 39, 0x53564D41)
# Of terminals, FIONREAD, FIONBIO, FIOCLEX, the number and name of a network interface.
_IOCTL = (0x5401, 0x5402, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x8910, 0x8933)
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_ROUTE = 0
_STREAM, _DGRAM, _RAW, _SEQPACKET = 1, 2, 3, 5
_TYPE_FLAGS = 0x80800  # SOCK_CLOEXEC, SOCK_NONBLOCK
_TCP, _UDP = 6, 17


def rules() -> dict[str, Rule]:
    """Return the rule of every call that the recorder may make; of others there is none."""
    plain = dict.fromkeys(f"{HARMLESS} {_FILES} {_SOCKETS} {_PROCESSES}".split(), Rule())
    return {
        **plain,
        "clone": _allow((Argument(0, (0,), _NEW_NAMESPACES),)),
        "prctl": _allow((Argument(0, _PR_ALLOWED),)),
        "ioctl": _allow((Argument(1, _IOCTL),)),
        # Of a child, a limit is never set; a process that it has started sets its own.
        "prlimit64": _allow((Argument(0, (0,)),)),
        "socket": _allow(*_sockets()),
        **dict.fromkeys(FALLBACKS, Rule()),
    }


def _sockets() -> list[Alternative]:
    def kind(*numbers: int) -> Argument:
        return Argument(1, numbers, ~_TYPE_FLAGS & 0xFFFFFFFF)

    internet = Argument(0, (_INET, _INET6))
    return [
        (Argument(0, (_UNIX,)), kind(_STREAM, _DGRAM, _SEQPACKET), Argument(2, (0,))),
        (internet, kind(_STREAM), Argument(2, (0, _TCP))),
        (internet, kind(_DGRAM), Argument(2, (0, _UDP))),
        # With which the C library lists the addresses of this machine.
        (Argument(0, (_NETLINK,)), kind(_RAW, _DGRAM), Argument(2, (_ROUTE,))),
    ]


def _allow(*alternatives: Alternative) -> Rule:
    return Rule(ALLOW, alternatives)
