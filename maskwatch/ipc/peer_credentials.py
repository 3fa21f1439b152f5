"""Identifies processes: the peer of a Unix socket, and a process by its id and start time."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")
_INTRODUCTION = b"\0maskwatch/worker/"


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return (process id, user id) of the process at the other end of a Unix socket."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return pid, uid


def introduction(pid: int, nonce: str) -> bytes:
    """Return the name of the supervisor's socket when it connects for the worker with this id."""
    return _INTRODUCTION + f"{pid}/{nonce}".encode("ascii")


def introduced(pid: int, address: object) -> int:
    """Return for which process the process `pid` has connected: itself, unless it is our parent.

    `address` is the name of the peer's socket. Only the supervisor can introduce another process.
    """
    if pid != os.getppid() or not isinstance(address, bytes) or not address.startswith(_INTRODUCTION):
        return pid
    return int(address.removeprefix(_INTRODUCTION).partition(b"/")[0])


def describe_process(pid: int, uid: int) -> str:
    """Return user and process in words, for logs. May wait for a directory of users on the network."""
    try:
        user = f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        user = f"uid {uid}"
    try:
        program = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        program = "ended"
    return f"{user}, pid {pid} ({''.join(c for c in program if c.isprintable())})"


def has_more_filters(pid: int) -> bool:
    """Return whether a process has more system call filters than this one, as sandboxed ones have.

    A process never loses a filter, and its children inherit them. True for one that has ended.
    """
    return _filters(str(pid)) > _filters("self")


def _filters(process: str) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return float("inf")
    found = re.search(r"^Seccomp_filters:\s*(\d+)$", status, re.MULTILINE)
    return int(found[1]) if found else 0


def process_identity(pid: int) -> str:
    """Return `pid:start`, with the start in clock ticks since boot; `pid:0` if it has ended.

    The kernel reuses a process id; with the start time it names one process only.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"{pid}:0"
    after_name = stat.rpartition(")")[2].split()
    return f"{pid}:{after_name[19]}"


def run_identity() -> str:
    """Return the identity of this run of the daemon: the boot, and our parent, the supervisor."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{process_identity(os.getppid())}"
