"""Attacks on other processes, and attempts to start or become another one."""
# ruff: noqa: PTH115, PTH116, PTH208, SIM115 - the calls themselves are what is tried

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import struct
from pathlib import Path

from tests.fakes.attacks.calls import AT_FDCWD, NOTHING, Attack, Targets, buffer, call, calls, on_victims


def _limits() -> bytes:
    return struct.pack("QQ", 64, 64)


def _iovec(buffer: ctypes.Array[ctypes.c_char]) -> bytes:
    return struct.pack("QQ", ctypes.addressof(buffer), 8)


_MEMORY = buffer()


def _pidfd_signal(targets: Targets) -> None:
    fd = call("pidfd_open", targets.victims[0], 0)
    call("pidfd_send_signal", fd, 0, 0, 0)


def _cpu_clock(targets: Targets) -> None:
    """Read the processor time of another process by the clock that its id names."""
    call("clock_gettime", ~targets.victims[0] << 3 | 2, buffer())


def _signal_by_owner(targets: Targets) -> None:
    """Have the kernel send SIGIO to another process, as the owner of a socket."""
    ours, _ = socket.socketpair()
    call("fcntl", ours.fileno(), 8, targets.victims[0])  # F_SETOWN


def _signal_by_ioctl(targets: Targets) -> None:
    ours, _ = socket.socketpair()
    call("ioctl", ours.fileno(), 0x8901, struct.pack("i", targets.victims[0]))  # FIOSETOWN


def _peer_option(option: int) -> None:
    """Ask for what identifies the process at the other end; for a worker's socket, the supervisor."""
    ours, _ = socket.socketpair()
    ours.getsockopt(socket.SOL_SOCKET, option, 12)


def _peer_s_number(_: Targets) -> None:
    _peer_option(socket.SO_PEERCRED)


def _peer_s_descriptor(_: Targets) -> None:
    _peer_option(77)  # SO_PEERPIDFD


def _fcntl(command: int, argument: object) -> Attack:
    return lambda _: call("fcntl", socket.socketpair()[0].fileno(), command, argument)


PROCESS: dict[str, Attack] = {
    "prlimit64": on_victims("prlimit64", 7, _limits(), 0),
    "prlimit64 reads": on_victims("prlimit64", 7, 0, _MEMORY),
    "kill": on_victims("kill", 0),
    "kill a group": calls("kill", 0, 0),
    "kill all": calls("kill", -1, 0),
    "tkill": on_victims("tkill", 0),
    "tgkill": lambda t: call("tgkill", t.victims[0], t.victims[0], 0),
    "rt_sigqueueinfo": on_victims("rt_sigqueueinfo", 0, NOTHING),
    "rt_tgsigqueueinfo": lambda t: call("rt_tgsigqueueinfo", t.victims[0], t.victims[0], 0, NOTHING),
    "pidfd_open": on_victims("pidfd_open", 0),
    "pidfd_send_signal": _pidfd_signal,
    "pidfd_getfd": lambda t: call("pidfd_getfd", call("pidfd_open", t.victims[0], 0), 0, 0),
    "process_madvise": lambda t: call("process_madvise", t.victims[0], _iovec(_MEMORY), 1, 21, 0),
    "process_mrelease": on_victims("process_mrelease", 0),
    "process_vm_readv": on_victims("process_vm_readv", _iovec(_MEMORY), 1, _iovec(_MEMORY), 1, 0),
    "process_vm_writev": on_victims("process_vm_writev", _iovec(_MEMORY), 1, _iovec(_MEMORY), 1, 0),
    "ptrace": lambda t: call("ptrace", 0x4206, t.victims[0], 0, 0),  # PTRACE_SEIZE
    "kcmp": lambda t: call("kcmp", t.victims[0], os.getpid(), 0, 0, 0),
    "sched_setaffinity": on_victims("sched_setaffinity", 8, struct.pack("Q", 1)),
    "sched_getaffinity": on_victims("sched_getaffinity", 128, buffer()),
    "sched_setscheduler": on_victims("sched_setscheduler", 3, struct.pack("i", 0)),
    "sched_setparam": on_victims("sched_setparam", struct.pack("i", 0)),
    "sched_getparam": on_victims("sched_getparam", buffer()),
    "sched_getscheduler": on_victims("sched_getscheduler"),
    "sched_setattr": on_victims("sched_setattr", struct.pack("IIQiIQQQ", 48, 3, 0, 19, 0, 0, 0, 0), 0),
    "sched_getattr": on_victims("sched_getattr", buffer(), 48, 0),
    "sched_rr_get_interval": on_victims("sched_rr_get_interval", buffer()),
    "getpriority": on_victims("getpriority", 0, at=1),
    "setpriority of a user": lambda _: call("setpriority", 2, os.getuid(), 19),
    "setpriority of a process": lambda t: call("setpriority", 0, t.victims[0], 19),
    "ioprio_set": lambda t: call("ioprio_set", 1, t.victims[0], 3 << 13),
    "ioprio_get": lambda t: call("ioprio_get", 1, t.victims[0]),
    "move_pages": on_victims("move_pages", 0, 0, 0, 0, 0),
    "migrate_pages": on_victims("migrate_pages", 1, struct.pack("Q", 1), struct.pack("Q", 1)),
    "get_robust_list": on_victims("get_robust_list", buffer(), buffer()),
    "perf_event_open": lambda t: call("perf_event_open", NOTHING, t.victims[0], -1, -1, 0),
    "getpgid": on_victims("getpgid"),
    "getsid": on_victims("getsid"),
    "setpgid": on_victims("setpgid", 0),
    "wait4": on_victims("wait4", 0, 1, 0),
    "waitid": lambda t: call("waitid", 1, t.victims[0], buffer(), 5, 0),
    "clock of a process": _cpu_clock,
    "F_SETOWN": _signal_by_owner,
    "F_SETOWN_EX": _fcntl(15, struct.pack("ii", 1, 1)),
    "F_SETSIG": _fcntl(10, signal.SIGKILL),
    "FIOSETOWN": _signal_by_ioctl,
    "FIOASYNC": lambda _: call("ioctl", socket.socketpair()[0].fileno(), 0x5452, struct.pack("i", 1)),
    "tgkill in its own name": lambda t: call("tgkill", os.getpid(), t.victims[0], 0),
    "kill the group of another": lambda t: call("kill", -t.victims[0], 0),
    "be traced": calls("ptrace", 0, 0, 0, 0),
    "PTRACE_ATTACH": lambda t: call("ptrace", 16, t.victims[0], 0, 0),
    "the number of its peer": _peer_s_number,
    "a descriptor of its peer": _peer_s_descriptor,
    "a descriptor of itself": lambda _: call("pidfd_open", os.getpid(), 0),
    "a thread with a descriptor": lambda _: call("clone", 0x3D0F00 | 0x1000, 0, buffer(), 0, 0),
    "a brother": lambda _: call("clone", signal.SIGCHLD | 0x8000, 0, 0, 0, 0),
    "its own priority": calls("setpriority", 0, 0, -5),
    "its own scheduler": calls("sched_setscheduler", 0, 1, struct.pack("i", 1)),
    "its own processors": calls("sched_setaffinity", 0, 8, struct.pack("Q", 1)),
    "its own I/O priority": calls("ioprio_set", 1, 0, 1 << 13),
    "its own share of its session": lambda _: Path("/proc/self/autogroup").write_text("-20"),
    "its own memory by a file": lambda _: os.open("/proc/self/mem", os.O_RDWR),
    "its own map of users": lambda _: Path("/proc/self/uid_map").write_text("0 0 1"),
    "its own label": lambda _: Path("/proc/self/attr/current").write_text("x"),
    "being dumpable": calls("prctl", 4, 1, 0, 0, 0),
    "being a subreaper": calls("prctl", 36, 1, 0, 0, 0),
    "ambient capabilities": calls("prctl", 47, 2, 21, 0, 0),
    "PR_SET_MM": calls("prctl", 35, 1, 0, 0, 0),
    "dispatch of system calls": calls("prctl", 59, 1, 0, 0, 0),
    "program in /proc": lambda t: os.readlink(f"/proc/{t.victims[0]}/exe"),
    "directory in /proc": lambda t: os.readlink(f"/proc/{t.victims[0]}/cwd"),
    "an open file in /proc": lambda t: os.stat(f"/proc/{t.victims[0]}/fd/0"),
    "namespaces in /proc": lambda t: os.readlink(f"/proc/{t.victims[0]}/ns/net"),
    "root in /proc": lambda t: os.stat(Path("/proc", str(t.victims[0]), "root", "etc")),
    "state in /proc": lambda t: Path(f"/proc/self/../{t.victims[0]}/status").read_bytes(),
    "command line in /proc": lambda t: Path(f"/proc/{t.victims[0]}/cmdline").read_bytes(),
    "threads in /proc": lambda t: os.listdir(f"/proc/{t.victims[0]}/task"),
    "system requests": lambda _: Path("/proc/sysrq-trigger").write_text("h"),
    "kernel settings": lambda _: Path("/proc/sys/kernel/core_pattern").write_text("x"),
    "prctl PR_SCHED_CORE": lambda t: call("prctl", 62, 1, t.victims[0], 1, 0),
    "prctl PR_SET_PTRACER": calls("prctl", 0x59616D61, -1, 0, 0, 0),
    "memory in /proc": lambda t: Path(f"/proc/{t.victims[0]}/mem").open("rb"),
    "environment in /proc": lambda t: Path(f"/proc/{t.victims[0]}/environ").read_bytes(),
    "descriptors in /proc": lambda t: os.listdir(f"/proc/{t.victims[0]}/fd"),
    "OOM score in /proc": lambda t: Path(f"/proc/{t.victims[0]}/oom_score_adj").write_text("1000"),
    "core dumps in /proc": lambda t: Path(f"/proc/{t.victims[0]}/coredump_filter").write_text("ff"),
    "its own OOM score": lambda _: Path("/proc/self/oom_score_adj").write_text("-1000"),
    "list of processes": lambda _: os.listdir("/proc"),
    "outlive the supervisor": calls("prctl", 1, 0, 0, 0, 0),  # PR_SET_PDEATHSIG
}


def _map_executable(targets: Targets) -> None:
    mmap.mmap(os.open(targets.file, os.O_RDONLY), 1, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)


PROGRAM: dict[str, Attack] = {
    "execve": calls("execve", b"/bin/true\0", 0, 0),
    "execveat": calls("execveat", AT_FDCWD, b"/bin/true\0", 0, 0, 0),
    "fork": lambda _: os.fork() or os._exit(0),
    "vfork by number": lambda _: call("clone", signal.SIGCHLD | 0x4000, 0, 0, 0, 0) or os._exit(0),
    "a child that shares memory": calls("clone", 0x100 | 0x4000, 0, 0, 0, 0),
    "clone3": calls("clone3", struct.pack("11Q", 0, 0, 0, 0, 17, *[0] * 6), 88),
    "unshare": calls("unshare", 0x10000000),
    "setns": calls("setns", 0, 0),
    "memfd_create": calls("memfd_create", b"x\0", 0),
    "memfd_secret": calls("memfd_secret", 0),
    "executing a descriptor": lambda _: call("execveat", os.open("/bin/true", 0), b"\0", 0, 0, 0x1000),
    "vfork": calls("vfork"),
    "a thread in a new namespace": calls("clone", 0x3D0F00 | 0x40000000, 0, 0, 0, 0),
    "executing what others wrote": _map_executable,
    "setgroups": calls("setgroups", 0, 0),
    "setuid": calls("setuid", 0),
    "setresgid": calls("setresgid", 0, 0, 0),
    "capset": calls("capset", struct.pack("II", 0x20080522, 0), bytes(24)),
}
