"""The notifications that systemd receives."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.supervisor.systemd import SystemdNotifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket in place of systemd's, and its name for NOTIFY_SOCKET."""
    path, abstract = str(tmp_path / "n"), f"\0maskwatch-test-{os.getpid()}-{tmp_path.name}"
    address = path if request.param == "path" else abstract
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(2)
        yield sock, address.replace("\0", "@")


def test_notifications_have_the_form_that_systemd_reads(systemd: tuple[socket.socket, str]) -> None:
    sock, name = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"})
    notifier.ready()
    notifier.status("2 of 3 cameras live\nhall: backoff")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    assert sock.recv(999) == b"READY=1"
    assert sock.recv(999) == b"STATUS=2 of 3 cameras live hall: backoff"
    assert sock.recv(999) == b"WATCHDOG=1"
    reloading, monotonic = sock.recv(999).decode().split("\n")
    assert reloading == "RELOADING=1"
    assert int(monotonic.removeprefix("MONOTONIC_USEC=")) > 0
    assert sock.recv(999) == b"STOPPING=1"
    notifier.close()


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_of_another_process_is_not_used(variables: dict[str, str], seconds: float) -> None:
    with contextlib.closing(SystemdNotifier(variables)) as notifier:
        assert notifier.watchdog == seconds


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    for variables in ({}, {"NOTIFY_SOCKET": str(tmp_path / "missing")}):
        with contextlib.closing(SystemdNotifier(variables)) as notifier:
            notifier.ready()
