"""The system calls of a worker: a list of what it may do, and with which arguments.

The list is what workers with every kind of camera were seen to call (`strace -ff` of the daemon), and
close relatives that other versions of the C library use instead.
All else fails: with ENOSYS what the table does not know, so that a library falls back; with EPERM what
it does. x86-64 and arm64; elsewhere there is no filter.

No call reaches another process: where one takes a process id, it must be 0 or the worker's own.
"""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import dataclass

from maskwatch.sandbox import bpf
from maskwatch.sandbox.bpf import ALLOW, NOTIFY, Alternative, Argument, Rule

_log = logging.getLogger(__name__)

# What takes neither a process nor a path to write to, nor an address.
HARMLESS = """
futex poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
eventfd2 nanosleep restart_syscall sched_yield set_robust_list set_tid_address rseq membarrier getcpu
pause exit exit_group
brk mmap munmap mremap mprotect madvise mincore mbind get_mempolicy set_mempolicy mlock munlock
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range
dup dup2 dup3 pipe pipe2 fadvise64 readahead
stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getcwd
getdents64
recvfrom shutdown getsockname getpeername
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack
getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getrusage times
uname sysinfo getrandom gettimeofday time getrlimit
"""
_UNKNOWN = bpf.errno_action(errno.ENOSYS)
_O_WRITES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
_MAP_TYPE, _MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0xF, 1, 2, 0x20, 0x100
_CLONE_THREAD, _CLONE_VM = 0x10000, 0x100
# New namespaces, a process id's descriptor, tracing, another parent.
_CLONE_NOT = 0x7E020000 | 0x1000 | 0x2000 | 0x8000 | 0x800000 | 0x80
_CLOCKS = 16  # of the system; higher numbers name processes
_PR_NAMES = (15, 16, 0x53564D41)  # the thread's name, names of memory
_FCNTL = (0, 1, 2, 3, 4, 1030, 1031, 1032)  # duplicates, flags, sizes of pipes; not F_SETOWN
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, window size, FIONREAD, FIONBIO...
_UNIX, _INET, _INET6 = 1, 2, 10
_STREAM, _DGRAM = 1, 2
_TYPE_FLAGS = 0x80800  # SOCK_CLOEXEC, SOCK_NONBLOCK
_TCP, _UDP = 6, 17
_SOL_SOCKET = 1
_MSG_FASTOPEN = 0x20000000
_OPTIONS = {  # of sockets, by level; not TCP_FASTOPEN_CONNECT, TCP_ULP, SO_ATTACH_FILTER, IP options
    _SOL_SOCKET: (2, 7, 8, 9, 20, 21),  # addresses, sizes of buffers, keep-alive, time-outs
    _TCP: (1, 4, 5, 6, 18),  # TCP_NODELAY, keep-alive, TCP_USER_TIMEOUT
    0: (11,),  # IP_RECVERR, set by the resolver
    41: (25, 26),  # IPV6_RECVERR, IPV6_V6ONLY
}
# Type, error, buffers, listening, protocol, domain; not what identifies the peer, as SO_PEERPIDFD does.
_READ_OPTIONS = (3, 4, 7, 8, 30, 38, 39)


@dataclass(frozen=True, slots=True)
class Network:
    """What a worker does in networks.

    Attributes:
        tcp: it connects to its camera.
        udp: its camera sends over UDP.
        names: it resolves names.
        local: it connects to Unix sockets.
        listener: the descriptor at which FFmpeg connects to the relay of this process.
        relay_port: where that is, on the loopback interface; 0 for none.
        redirected_port: to which its camera has redirected a worker before; 0 for none.
        brokered: the supervisor makes its connections and its UDP sockets.
    """

    tcp: bool = False
    udp: bool = False
    names: bool = False
    local: bool = False
    listener: int | None = None
    relay_port: int = 0
    redirected_port: int = 0
    brokered: bool = False


def restrict(network: Network) -> list[str]:
    """Install the filter irrevocably; return the layers in force. Needs no_new_privs."""
    if not bpf.supported():
        _log.info("no seccomp filter for this processor, %s", os.uname().machine)
        return []
    refuse = bpf.errno_action(errno.EPERM)
    try:
        bpf.install(bpf.compile_program(rules(network), known=refuse, unknown=_UNKNOWN))
    except OSError as error:
        _log.info("the kernel refuses a seccomp filter: %s", error.strerror)
        return []
    return ["seccomp"]


def restrict_brokered(network: Network) -> int:
    """Install the filter irrevocably; return the descriptor at which calls are answered.

    All calls that the filter does not allow wait there for an answer.

    Raises:
        OSError: the kernel refuses it; no filter is in force.
    """
    program = bpf.compile_program(rules(network), known=NOTIFY, unknown=_UNKNOWN)
    return bpf.install(program, listener=True)


def rules(network: Network) -> dict[str, Rule]:
    """Return the rule of every call that a worker may make; of others there is none."""
    allowed = dict.fromkeys(HARMLESS.split(), Rule())
    return {**allowed, **_memory(), **_files(), **_processes(os.getpid()), **_sockets(network)}


def _allow(*alternatives: Alternative) -> Rule:
    return Rule(ALLOW, alternatives)


def _memory() -> dict[str, Rule]:
    """Return the rule of new memory: no kind that the limit of data does not count."""
    private = Argument(3, (_MAP_PRIVATE,), _MAP_TYPE | _MAP_GROWSDOWN)
    file = Argument(3, (_MAP_SHARED,), _MAP_TYPE | _MAP_GROWSDOWN | _MAP_ANONYMOUS)
    return {"mmap": _allow((private,), (file,))}


def _files() -> dict[str, Rule]:
    return {
        "open": _allow((Argument(1, (0,), _O_WRITES),)),
        "openat": _allow((Argument(2, (0,), _O_WRITES),)),
        "fcntl": _allow((Argument(1, _FCNTL),)),
        "ioctl": _allow((Argument(1, _IOCTL),)),
        # The C library falls back to calls whose arguments a filter can see.
        "openat2": Rule(_UNKNOWN),
        "clone3": Rule(_UNKNOWN),
    }


def _processes(own: int) -> dict[str, Rule]:
    itself = Argument(0, (0, own))
    clock = Argument(0, below=_CLOCKS)
    thread = Argument(0, (_CLONE_THREAD | _CLONE_VM,), _CLONE_THREAD | _CLONE_VM | _CLONE_NOT)
    return {
        "clone": _allow((thread,)),
        "prctl": _allow((Argument(0, _PR_NAMES),)),
        "prlimit64": _allow((itself, Argument(2, (0,), wide=True))),  # limits are only read
        "tgkill": _allow((Argument(0, (own,)),)),
        "sched_getaffinity": _allow((itself,)),
        "sched_getparam": _allow((itself,)),
        "sched_getscheduler": _allow((itself,)),
        "clock_gettime": _allow((clock,)),
        "clock_getres": _allow((clock,)),
        "clock_nanosleep": _allow((clock,)),
    }


def _sockets(network: Network) -> dict[str, Rule]:
    internet = Argument(0, (_INET, _INET6))
    stream, datagram = (Argument(1, (kind,), ~_TYPE_FLAGS & 0xFFFFFFFF) for kind in (_STREAM, _DGRAM))
    unix = (Argument(0, (_UNIX,)), stream, Argument(2, (0,)))
    tcp = (internet, stream, Argument(2, (0, _TCP)))
    udp = (internet, datagram, Argument(2, (0, _UDP)))
    slow = Argument(3, (0,), _MSG_FASTOPEN)
    options = [(Argument(1, (level,)), Argument(2, numbers)) for level, numbers in _OPTIONS.items()]
    common = {
        "socketpair": _allow(unix),
        "sendto": _allow((slow, Argument(4, (0,), wide=True))),
        "setsockopt": _allow(*options),
        "getsockopt": _allow((Argument(1, (_SOL_SOCKET,)), Argument(2, _READ_OPTIONS))),
    }
    if network.listener is not None:
        common["accept4"] = _allow((Argument(0, (network.listener,)),))
    kinds = [tcp] if network.tcp else []
    kinds += [unix] if network.local else []
    if network.brokered:
        return {**common, **({"socket": _allow(*kinds)} if kinds else {})}
    kinds += [udp] if network.udp or network.names else []
    if not kinds:
        return common
    open_to_all = {"socket": _allow(*kinds), "connect": Rule()}
    if network.udp:
        open_to_all |= {"bind": Rule(), "sendto": _allow((slow,))}
    if network.names:
        open_to_all |= {"sendmmsg": _allow((slow,))}  # with which the C library asks name servers
    return {**common, **open_to_all}
