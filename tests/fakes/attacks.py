"""What the code of a taken-over worker tries, by family; each attack raises OSError when it is refused.

`attempt_all` runs in the worker's sandbox. It calls the kernel by number, as shellcode does: what the C
library refuses itself proves nothing.
"""
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH208, PTH211, SIM115 - the calls themselves are what is tried

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import platform
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from maskwatch.sandbox.syscalls import NUMBERS

_ENOUGH = 600
REFUSED = {"EPERM", "EACCES", "ENOSYS"}
_NUMBERS = NUMBERS[platform.machine()]
_MPTCP, _SCTP, _TCP_FASTOPEN_CONNECT, _TCP_ULP = 262, 132, 30, 31
_AT_FDCWD = -100


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


def attempt_all(targets: Targets, only: str = "") -> dict[str, str]:
    """Try every attack (whose family is `only`); return the error of each, "" for one that succeeded."""
    return {name: _attempt(attack, targets) for name, attack in attacks() if name.startswith(only)}


def _attempt(attack: Attack, targets: Targets) -> str:
    try:
        attack(targets)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def counts() -> dict[str, int]:
    """Return how many threads and descriptors this process gets before it is refused more."""
    done, opened = threading.Event(), []
    threads = 0
    with contextlib.suppress(RuntimeError):
        while threads < _ENOUGH:
            threading.Thread(target=done.wait, daemon=True).start()
            threads += 1
    done.set()
    with contextlib.suppress(OSError):
        while len(opened) < _ENOUGH:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    for fd in opened:
        os.close(fd)
    return {"threads": threads, "descriptors": len(opened)}


def attacks() -> Iterator[tuple[str, Attack]]:
    """Yield FAMILY/NAME and the attack."""
    for family, members in (
        ("process", _PROCESS),
        ("program", _PROGRAM),
        ("file", _FILE),
        ("network", _NETWORK),
        ("local", _LOCAL),
        ("kernel", _KERNEL),
    ):
        for name, attack in members.items():
            yield f"{family}/{name}", attack


def _call(name: str, *arguments: object) -> int:
    number = _NUMBERS.get(name)
    if number is None:  # this processor has no such call
        raise OSError(errno.ENOSYS, name)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def _on_victims(name: str, *arguments: object, at: int = 0) -> Attack:
    """Return the attack that puts each victim's process id into the argument `at`; one must succeed."""

    def attack(targets: Targets) -> None:
        failure = OSError(errno.ESRCH, "no victim")
        for victim in targets.victims:
            given = list(arguments)
            given.insert(at, victim)
            try:
                _call(name, *given)
            except OSError as error:
                failure = error
            else:
                return
        raise failure

    return attack


def _buffer(size: int = 256) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(size)


def _limits() -> bytes:
    return struct.pack("QQ", 64, 64)


def _iovec(buffer: ctypes.Array[ctypes.c_char]) -> bytes:
    return struct.pack("QQ", ctypes.addressof(buffer), 8)


_MEMORY = _buffer()
_NOTHING = bytes(256)


def _pidfd_signal(targets: Targets) -> None:
    fd = _call("pidfd_open", targets.victims[0], 0)
    _call("pidfd_send_signal", fd, 0, 0, 0)


def _cpu_clock(targets: Targets) -> None:
    """Read the processor time of another process by the clock that its id names."""
    _call("clock_gettime", ~targets.victims[0] << 3 | 2, _buffer())


def _signal_by_owner(targets: Targets) -> None:
    """Have the kernel send SIGIO to another process, as the owner of a socket."""
    ours, _ = socket.socketpair()
    _call("fcntl", ours.fileno(), 8, targets.victims[0])  # F_SETOWN


def _signal_by_ioctl(targets: Targets) -> None:
    ours, _ = socket.socketpair()
    _call("ioctl", ours.fileno(), 0x8901, struct.pack("i", targets.victims[0]))  # FIOSETOWN


def _fcntl(command: int, argument: object) -> Attack:
    return lambda _: _call("fcntl", socket.socketpair()[0].fileno(), command, argument)


_PROCESS: dict[str, Attack] = {
    "prlimit64": _on_victims("prlimit64", 7, _limits(), 0),
    "prlimit64 reads": _on_victims("prlimit64", 7, 0, _MEMORY),
    "kill": _on_victims("kill", 0),
    "kill a group": lambda _: _call("kill", 0, 0),
    "kill all": lambda _: _call("kill", -1, 0),
    "tkill": _on_victims("tkill", 0),
    "tgkill": lambda t: _call("tgkill", t.victims[0], t.victims[0], 0),
    "rt_sigqueueinfo": _on_victims("rt_sigqueueinfo", 0, _NOTHING),
    "rt_tgsigqueueinfo": lambda t: _call("rt_tgsigqueueinfo", t.victims[0], t.victims[0], 0, _NOTHING),
    "pidfd_open": _on_victims("pidfd_open", 0),
    "pidfd_send_signal": _pidfd_signal,
    "pidfd_getfd": lambda t: _call("pidfd_getfd", _call("pidfd_open", t.victims[0], 0), 0, 0),
    "process_madvise": lambda t: _call("process_madvise", t.victims[0], _iovec(_MEMORY), 1, 21, 0),
    "process_mrelease": _on_victims("process_mrelease", 0),
    "process_vm_readv": _on_victims("process_vm_readv", _iovec(_MEMORY), 1, _iovec(_MEMORY), 1, 0),
    "process_vm_writev": _on_victims("process_vm_writev", _iovec(_MEMORY), 1, _iovec(_MEMORY), 1, 0),
    "ptrace": lambda t: _call("ptrace", 0x4206, t.victims[0], 0, 0),  # PTRACE_SEIZE
    "kcmp": lambda t: _call("kcmp", t.victims[0], os.getpid(), 0, 0, 0),
    "sched_setaffinity": _on_victims("sched_setaffinity", 8, struct.pack("Q", 1)),
    "sched_getaffinity": _on_victims("sched_getaffinity", 128, _buffer()),
    "sched_setscheduler": _on_victims("sched_setscheduler", 3, struct.pack("i", 0)),
    "sched_setparam": _on_victims("sched_setparam", struct.pack("i", 0)),
    "sched_getparam": _on_victims("sched_getparam", _buffer()),
    "sched_getscheduler": _on_victims("sched_getscheduler"),
    "sched_setattr": _on_victims("sched_setattr", struct.pack("IIQiIQQQ", 48, 3, 0, 19, 0, 0, 0, 0), 0),
    "sched_getattr": _on_victims("sched_getattr", _buffer(), 48, 0),
    "sched_rr_get_interval": _on_victims("sched_rr_get_interval", _buffer()),
    "getpriority": _on_victims("getpriority", 0, at=1),
    "setpriority of a user": lambda _: _call("setpriority", 2, os.getuid(), 19),
    "setpriority of a process": lambda t: _call("setpriority", 0, t.victims[0], 19),
    "ioprio_set": lambda t: _call("ioprio_set", 1, t.victims[0], 3 << 13),
    "ioprio_get": lambda t: _call("ioprio_get", 1, t.victims[0]),
    "move_pages": _on_victims("move_pages", 0, 0, 0, 0, 0),
    "migrate_pages": _on_victims("migrate_pages", 1, struct.pack("Q", 1), struct.pack("Q", 1)),
    "get_robust_list": _on_victims("get_robust_list", _buffer(), _buffer()),
    "perf_event_open": lambda t: _call("perf_event_open", _NOTHING, t.victims[0], -1, -1, 0),
    "getpgid": _on_victims("getpgid"),
    "getsid": _on_victims("getsid"),
    "setpgid": _on_victims("setpgid", 0),
    "wait4": _on_victims("wait4", 0, 1, 0),
    "waitid": lambda t: _call("waitid", 1, t.victims[0], _buffer(), 5, 0),
    "clock of a process": _cpu_clock,
    "F_SETOWN": _signal_by_owner,
    "F_SETOWN_EX": _fcntl(15, struct.pack("ii", 1, 1)),
    "F_SETSIG": _fcntl(10, signal.SIGKILL),
    "FIOSETOWN": _signal_by_ioctl,
    "FIOASYNC": lambda _: _call("ioctl", socket.socketpair()[0].fileno(), 0x5452, struct.pack("i", 1)),
    "prctl PR_SCHED_CORE": lambda t: _call("prctl", 62, 1, t.victims[0], 1, 0),
    "prctl PR_SET_PTRACER": lambda _: _call("prctl", 0x59616D61, -1, 0, 0, 0),
    "memory in /proc": lambda t: Path(f"/proc/{t.victims[0]}/mem").open("rb"),
    "environment in /proc": lambda t: Path(f"/proc/{t.victims[0]}/environ").read_bytes(),
    "descriptors in /proc": lambda t: os.listdir(f"/proc/{t.victims[0]}/fd"),
    "OOM score in /proc": lambda t: Path(f"/proc/{t.victims[0]}/oom_score_adj").write_text("1000"),
    "core dumps in /proc": lambda t: Path(f"/proc/{t.victims[0]}/coredump_filter").write_text("ff"),
    "its own OOM score": lambda _: Path("/proc/self/oom_score_adj").write_text("-1000"),
    "list of processes": lambda _: os.listdir("/proc"),
    "outlive the supervisor": lambda _: _call("prctl", 1, 0, 0, 0, 0),  # PR_SET_PDEATHSIG
}

_PROGRAM: dict[str, Attack] = {
    "execve": lambda _: _call("execve", b"/bin/true\0", 0, 0),
    "execveat": lambda _: _call("execveat", _AT_FDCWD, b"/bin/true\0", 0, 0, 0),
    "fork": lambda _: os.fork() or os._exit(0),
    "vfork by number": lambda _: _call("clone", signal.SIGCHLD | 0x4000, 0, 0, 0, 0) or os._exit(0),
    "a child that shares memory": lambda _: _call("clone", 0x100 | 0x4000, 0, 0, 0, 0),
    "clone3": lambda _: _call("clone3", struct.pack("11Q", 0, 0, 0, 0, 17, *[0] * 6), 88),
    "unshare": lambda _: _call("unshare", 0x10000000),
    "setns": lambda _: _call("setns", 0, 0),
    "memfd_create": lambda _: _call("memfd_create", b"x\0", 0),
    "memfd_secret": lambda _: _call("memfd_secret", 0),
    "executing a descriptor": lambda _: _call("execveat", os.open("/bin/true", 0), b"\0", 0, 0, 0x1000),
    "setuid": lambda _: _call("setuid", 0),
    "setresgid": lambda _: _call("setresgid", 0, 0, 0),
    "capset": lambda _: _call("capset", struct.pack("II", 0x20080522, 0), bytes(24)),
}


def _write_through(targets: Targets) -> None:
    fd = os.open(targets.file, os.O_RDONLY)
    mmap.mmap(fd, 1, mmap.MAP_SHARED, mmap.PROT_WRITE)


def _path(name: str, *arguments: object, folder: bool = False, at: int = 0) -> Attack:
    def attack(targets: Targets) -> None:
        given = list(arguments)
        given.insert(at, os.fsencode(targets.folder if folder else targets.file) + b"\0")
        _call(name, *given)

    return attack


def _opened(name: str, *arguments: object) -> Attack:
    """Return the attack on an open file: one that the worker may read stands for an inherited one."""
    return lambda _: _call(name, os.open(msgspec.__file__, os.O_RDONLY), *arguments)


def _new(targets: Targets) -> bytes:
    return os.fsencode(targets.folder) + b"/new\0"


_TIMES = struct.pack("4Q", 1, 0, 1, 0)
_FILE: dict[str, Attack] = {
    "read": lambda t: Path(t.file).read_bytes(),
    "list": lambda t: os.listdir(t.folder),
    "open for writing": lambda t: os.open(t.file, os.O_WRONLY),
    "open for reading and writing": lambda t: os.open(t.file, os.O_RDWR),
    "open and truncate": lambda t: os.open(t.file, os.O_TRUNC),
    "create": lambda t: os.open(t.folder + "/new", os.O_CREAT),
    "creat": _path("creat", 0o600),
    "temporary file": lambda t: os.open(t.folder, os.O_TMPFILE | os.O_RDWR),
    "openat2": lambda t: _call(
        "openat2", _AT_FDCWD, os.fsencode(t.file) + b"\0", struct.pack("QQQ", 2, 0, 0), 24
    ),
    "write through a map": _write_through,
    "chmod": _path("chmod", 0o777),
    "chmod of the folder": _path("chmod", 0o777, folder=True),
    "fchmod": lambda t: _call("fchmod", os.open(t.file, os.O_RDONLY), 0o777),
    "fchmodat": lambda t: _call("fchmodat", _AT_FDCWD, os.fsencode(t.file) + b"\0", 0o777),
    "fchmodat2": lambda t: _call("fchmodat2", _AT_FDCWD, os.fsencode(t.file) + b"\0", 0o777, 0),
    "fsetxattr": _opened("fsetxattr", b"user.x\0", b"1", 1, 0),
    "fremovexattr": _opened("fremovexattr", b"user.x\0"),
    "fchown": _opened("fchown", os.getuid(), os.getgid()),
    "ftruncate": _opened("ftruncate", 0),
    "fallocate": _opened("fallocate", 0, 0, 1),
    "lease": _opened("fcntl", 1024, 0),
    "notification": lambda t: _call("fcntl", os.open(t.folder, os.O_RDONLY), 1026, 1),
    "lock": _opened("fcntl", 6, struct.pack("hhqqi", 0, 0, 0, 0, 0)),
    "name_to_handle_at": _path("name_to_handle_at", _buffer(), _buffer(), 0, at=1),
    "chown": _path("chown", os.getuid(), os.getgid()),
    "lchown": _path("lchown", os.getuid(), os.getgid()),
    "fchownat": lambda t: _call("fchownat", _AT_FDCWD, os.fsencode(t.file) + b"\0", -1, -1, 0),
    "utime": _path("utime", 0),
    "utimes": _path("utimes", _TIMES),
    "utimensat": lambda t: _call("utimensat", _AT_FDCWD, os.fsencode(t.file) + b"\0", _TIMES, 0),
    "futimesat": lambda t: _call("futimesat", _AT_FDCWD, os.fsencode(t.file) + b"\0", 0),
    "setxattr": _path("setxattr", b"user.x\0", b"1", 1, 0),
    "lsetxattr": _path("lsetxattr", b"user.x\0", b"1", 1, 0),
    "setxattrat": lambda t: _call(
        "setxattrat", _AT_FDCWD, os.fsencode(t.file) + b"\0", 0, b"user.x\0", _NOTHING, 16
    ),
    "removexattr": _path("removexattr", b"user.x\0"),
    "truncate": _path("truncate", 0),
    "rename": lambda t: os.rename(t.file, t.file + ".old"),
    "link": lambda t: os.link(t.file, t.folder + "/new"),
    "symlink": lambda t: os.symlink("/etc", t.folder + "/new"),
    "unlink": lambda t: os.unlink(t.file),
    "mkdir": lambda t: os.mkdir(t.folder + "/new"),
    "rmdir": lambda t: os.rmdir(t.folder),
    "mknod": lambda t: _call("mknodat", _AT_FDCWD, _new(t), 0o010600, 0),
    "chdir": lambda t: os.chdir(t.folder),
    "chroot": lambda t: os.chroot(t.folder),
    "flock": lambda t: _call("flock", os.open(t.folder, os.O_RDONLY), 2),
    "watch": lambda _: _call("inotify_init1", 0),
    "FS_IOC_SETFLAGS": lambda t: _call(
        "ioctl", os.open(t.file, os.O_RDONLY), 0x40086602, struct.pack("i", 0x10)
    ),
    "file_setattr": lambda t: _call(
        "file_setattr", _AT_FDCWD, os.fsencode(t.file) + b"\0", _NOTHING, 24, 0
    ),
    "open_by_handle_at": lambda _: _call("open_by_handle_at", _AT_FDCWD, _NOTHING, 0),
    "passwords": lambda _: Path("/etc/shadow").read_bytes(),
    "write to /tmp": lambda _: Path("/tmp/maskwatch-attack").write_bytes(b""),
    "write to /dev/shm": lambda _: Path("/dev/shm/maskwatch-attack").write_bytes(b""),
}


def _inet(port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + bytes([127, 0, 0, 1]) + bytes(8)


def _tcp_to(port: int) -> None:
    with socket.socket() as sock:
        sock.settimeout(2)
        sock.connect(("127.0.0.1", port))


def _connected_by(kind: int, protocol: int) -> Attack:
    def attack(targets: Targets) -> None:
        with socket.socket(socket.AF_INET, kind, protocol) as sock:
            sock.settimeout(2)
            sock.connect(("127.0.0.1", targets.tcp))

    return attack


def _fast_open(targets: Targets) -> None:
    with socket.socket() as sock:
        sock.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", targets.tcp))


def _fast_open_message(targets: Targets) -> None:
    with socket.socket() as sock:
        sock.sendmsg([b"x"], [], socket.MSG_FASTOPEN, ("127.0.0.1", targets.tcp))


def _fast_open_option(_: Targets) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)


def _fast_open_by_sendmmsg(targets: Targets) -> None:
    with socket.socket() as sock:
        address = ctypes.create_string_buffer(_inet(targets.tcp))
        header = struct.pack("QIIQQQQiIQ", ctypes.addressof(address), 16, 0, 0, 0, 0, 0, 0, 0, 0)
        _call("sendmmsg", sock.fileno(), header, 1, socket.MSG_FASTOPEN)


def _ulp(_: Targets) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"mptcp")


def _udp_sendto(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", targets.udp))


def _udp_connect(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", targets.udp))
        sock.send(b"x")


def _udp_message(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendmsg([b"x"], [], 0, ("127.0.0.1", targets.udp))


def _listen(_: Targets) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()


def _socket(*arguments: int) -> Attack:
    return lambda _: socket.socket(*arguments).close()


_NETWORK: dict[str, Attack] = {
    "TCP": lambda t: _tcp_to(t.tcp),
    "TCP to port 53": lambda _: _tcp_to(53),
    "MPTCP": _connected_by(socket.SOCK_STREAM, _MPTCP),
    "SCTP": _socket(socket.AF_INET, socket.SOCK_STREAM, _SCTP),
    "fast open by sendto": _fast_open,
    "fast open by sendmsg": _fast_open_message,
    "fast open by sendmmsg": _fast_open_by_sendmmsg,
    "fast open by an option": _fast_open_option,
    "MPTCP by an option": _ulp,
    "UDP by sendto": _udp_sendto,
    "UDP by connect": _udp_connect,
    "UDP by sendmsg": _udp_message,
    "UDP-Lite": _socket(socket.AF_INET, socket.SOCK_DGRAM, 136),
    "ping": _socket(socket.AF_INET, socket.SOCK_DGRAM, 1),
    "raw": _socket(socket.AF_INET, socket.SOCK_RAW, 255),
    "packet": _socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "netlink": _socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "vsock": _socket(socket.AF_VSOCK, socket.SOCK_STREAM, 0),
    "bluetooth": _socket(31, socket.SOCK_RAW, 1),
    "kernel crypto": _socket(38, socket.SOCK_SEQPACKET, 0),
    "XDP": _socket(44, socket.SOCK_RAW, 0),
    "SMC": _socket(43, socket.SOCK_STREAM, 0),
    "listen": _listen,
    "sendfile": lambda _: _call("sendfile", 1, 0, 0, 1),
}


def _unix(kind: int, address: str | bytes) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)


def _pass_descriptor(_: Targets) -> None:
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [0])
    socket.recv_fds(theirs, 1, 1)


_LOCAL: dict[str, Attack] = {
    "path socket": lambda t: _unix(socket.SOCK_STREAM, t.unix),
    "datagrams to a path socket": lambda t: _unix(socket.SOCK_DGRAM, t.unix),
    "sequential packets": lambda t: _unix(socket.SOCK_SEQPACKET, t.unix),
    "abstract socket": lambda _: _unix(socket.SOCK_STREAM, b"\0maskwatch-attack"),
    "name service cache": lambda _: _unix(socket.SOCK_STREAM, "/var/run/nscd/socket"),
    "system bus": lambda _: _unix(socket.SOCK_STREAM, "/run/dbus/system_bus_socket"),
    "journal": lambda _: _unix(socket.SOCK_DGRAM, "/run/systemd/journal/socket"),
    "passing descriptors": _pass_descriptor,
    "shared memory": lambda _: _call("shmget", 1, 4096, 0o1600),
    "semaphores": lambda _: _call("semget", 1, 1, 0o1600),
    "message queue": lambda _: _call("msgget", 1, 0o1600),
    "POSIX message queue": lambda _: _call("mq_open", b"x\0", 0o102, 0o600, 0),
}

_KERNEL: dict[str, Attack] = {
    "io_uring": lambda _: _call("io_uring_setup", 1, _buffer()),
    "bpf": lambda _: _call("bpf", 0, _NOTHING, 48),
    "io_uring_register": lambda _: _call("io_uring_register", 0, 0, 0, 0),
    "asynchronous I/O": lambda _: _call("io_setup", 1, _buffer()),
    "userfaultfd": lambda _: _call("userfaultfd", 1),
    "shared memory that no limit counts": lambda _: _call("mmap", 0, 1 << 20, 3, 0x21, -1, 0),
    "stacks that no limit counts": lambda _: _call("mmap", 0, 1 << 20, 3, 0x122, -1, 0),
    "a higher limit": lambda _: _call("prlimit64", 0, 7, struct.pack("QQ", 4096, 4096), 0),
    "landlock_create_ruleset": lambda _: _call("landlock_create_ruleset", _NOTHING, 8, 0),
    "request_key": lambda _: _call("request_key", b"user\0", b"x\0", 0, -3),
    "quotactl": lambda _: _call("quotactl", 0x80000000, 0, 0, 0),
    "keyctl": lambda _: _call("keyctl", 0, -3, 0),
    "add_key": lambda _: _call("add_key", b"user\0", b"x\0", b"x", 1, -3),
    "mount": lambda _: _call("mount", b"x\0", b"/\0", b"tmpfs\0", 0, 0),
    "fsopen": lambda _: _call("fsopen", b"tmpfs\0", 0),
    "personality": lambda _: _call("personality", 0x0040000),
    "modify_ldt": lambda _: _call("modify_ldt", 0, _buffer(), 16),
    "syslog": lambda _: _call("syslog", 10, 0, 0),
    "sethostname": lambda _: _call("sethostname", b"x", 1),
    "settimeofday": lambda _: _call("settimeofday", 0, 0),
    "adjtimex": lambda _: _call("adjtimex", _buffer()),
    "seccomp": lambda _: _call("seccomp", 2, 0, struct.pack("I", 0x7FFF0000)),
    "fanotify": lambda _: _call("fanotify_init", 0, 0),
    "TIOCSTI": lambda _: _call("ioctl", 0, 0x5412, b"x"),
    "reboot": lambda _: _call("reboot", 0, 0, 0, 0),
    "acct": lambda _: _call("acct", 0),
    "timer": lambda _: _call("timer_create", 0, 0, _buffer()),
    "umask": lambda _: _call("umask", 0),
}
