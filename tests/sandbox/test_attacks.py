"""A taken-over worker: every attack is tried in the sandbox, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from maskwatch.sandbox import landlock
from tests.fakes.attacks import REFUSED, Targets, attacks
from tests.fakes.service_user import UID, as_service_user, give, service_environment

_ATTEMPT = """
import json, sys, msgspec
from maskwatch.sandbox import enter as sandbox
from tests.fakes.attacks import Targets, attempt_all
targets = msgspec.json.decode(sys.argv[1], type=Targets)
sandbox.enter([], [int(sys.argv[2])])
print(json.dumps(attempt_all(targets)))
"""
_SLEEP = "import time; time.sleep(600)"
_OF_OTHERS = ("memory", "environment", "descriptors")
# What an old kernel's Landlock does not hold back, and the filter cannot see.
_LANDLOCK = {
    **dict.fromkeys(("file/read", "file/list", "file/passwords", "process/list of processes"), 1),
    **dict.fromkeys((f"process/{what} in /proc" for what in _OF_OTHERS), 1),
    **dict.fromkeys(("network/TCP", "network/TCP to port 53"), 4),
}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Targets, int]]:
    """A file, a process and sockets of others, and the port of the camera."""
    folder = tmp_path_factory.mktemp("data")
    file = folder / "maskwatch.db"
    file.write_bytes(b"rows")
    with ExitStack() as stack:
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(folder / "sock"))
        unix.listen()
        (folder / "sock").chmod(0o777)
        tcp, camera = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        give(folder)
        victim = stack.enter_context(
            subprocess.Popen(
                as_service_user("-c", "import time; time.sleep(600)"), env=service_environment()
            )
        )
        stack.callback(victim.kill)
        yield (
            Targets(
                victims=(victim.pid, os.getpid()),
                file=str(file),
                folder=str(folder),
                unix=str(folder / "sock"),
                tcp=tcp.getsockname()[1],
                udp=udp.getsockname()[1],
            ),
            camera.getsockname()[1],
        )


@pytest.fixture(scope="module")
def attempts(targets: tuple[Targets, int]) -> dict[str, dict[str, str]]:
    """The error of each attack, by user."""
    arguments = ("-c", _ATTEMPT, msgspec.json.encode(targets[0]).decode(), str(targets[1]))
    commands = {"root": [sys.executable, *arguments], "service": as_service_user(*arguments)}
    return {user: _errors(command) for user, command in commands.items()}


def _errors(command: list[str]) -> dict[str, str]:
    done = subprocess.run(
        command, env=service_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("user", ["root", "service"])
@pytest.mark.parametrize("attack", [name for name, _ in attacks()])
def test_an_attack_of_a_taken_over_worker_is_refused(
    attempts: dict[str, dict[str, str]], attack: str, user: str
) -> None:
    if landlock.abi() >= _LANDLOCK.get(attack, 0):
        assert attempts[user][attack] in REFUSED


def test_the_service_s_user_is_not_root() -> None:
    done = subprocess.run(
        as_service_user("-c", "import os; print(os.getuid())"),
        env=service_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == str(UID)
