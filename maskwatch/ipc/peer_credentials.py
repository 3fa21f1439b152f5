"""Who a process is: its number alone is used again, with its start time it is not."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

__all__ = ["peer_of", "process_identity", "run_identity"]


def process_identity(pid: int) -> str:
    """Return `pid:start`, with the start in clock ticks since boot; `pid:0` if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"{pid}:0"
    after_name = stat.rpartition(")")[2].split()
    return f"{pid}:{after_name[19]}"


def run_identity() -> str:
    """Return what names this run of the daemon: this boot and our parent, the supervisor."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{process_identity(os.getppid())}"


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return (process id, user id) of the process at the other end of a Unix socket."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return pid, uid
