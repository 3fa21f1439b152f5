"""Processes are identified by id and start time, and by the socket that they hold."""

from __future__ import annotations

import os
import socket
import subprocess

from maskwatch.ipc.peer_credentials import peer_of, process_identity


def test_a_process_is_identified_by_its_id_and_its_start() -> None:
    own = process_identity(os.getpid())
    assert own == process_identity(os.getpid())
    assert own.startswith(f"{os.getpid()}:")
    with subprocess.Popen(["sleep", "60"]) as other:
        identity = process_identity(other.pid)
        other.kill()
    assert identity not in {own, process_identity(other.pid)}


def test_the_peer_of_a_socket_is_identified() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert peer_of(near) == (os.getpid(), os.geteuid())
