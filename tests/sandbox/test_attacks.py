"""A taken-over worker: every attack is tried in the sandbox, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from maskwatch.sandbox import landlock
from tests.fakes.attacks import REFUSED, attacks
from tests.fakes.attacks.calls import Targets
from tests.fakes.service_user import UID, as_service_user, give, service_environment

_ATTEMPT = """
import json, sys, msgspec
from maskwatch.sandbox import enter as sandbox
from tests.fakes.attacks import attempt_all
from tests.fakes.attacks.calls import Targets
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


# The supervisor answers so, since the C library tries these first; the kernel, where there is no victim.
_ABSENT = {
    "local/name service cache": {"ENOENT"},
    "local/system bus": {"ENOENT"},
    "process/tgkill in its own name": {"ESRCH"},
}
_SANDBOXES = {
    "whole": ("-m", "tests.fakes.brokered"),
    "without namespaces": ("-m", "tests.fakes.brokered", "--no-namespaces"),
    "forked": ("-m", "tests.fakes.brokered", "--forked"),
    "unbrokered": ("-c", _ATTEMPT),
}
_USERS = ("root", "service")


@pytest.fixture(scope="module")
def attempts(targets: tuple[Targets, int]) -> dict[tuple[str, str], dict[str, Any]]:
    """The error of each attack, by sandbox and user."""
    arguments = (msgspec.json.encode(targets[0]).decode(), str(targets[1]))
    return {
        (name, user): _errors(user, (*program, *arguments))
        for name, program in _SANDBOXES.items()
        for user in _USERS
    }


def _errors(user: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    command = [sys.executable, *arguments] if user == "root" else as_service_user(*arguments)
    done = subprocess.run(
        command, env=service_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("user", _USERS)
@pytest.mark.parametrize("sandbox", _SANDBOXES)
def test_every_attack_of_a_taken_over_worker_is_refused(
    attempts: dict[tuple[str, str], dict[str, Any]], sandbox: str, user: str
) -> None:
    names = [name for name, _ in attacks() if landlock.abi() >= _LANDLOCK.get(name, 0)]
    found = {name: attempts[sandbox, user][name] for name in names}
    assert {
        name: error for name, error in found.items() if error not in REFUSED | _ABSENT.get(name, set())
    } == {}


@pytest.mark.parametrize("user", _USERS)
def test_a_system_that_permits_no_namespace_takes_no_other_layer_away(
    attempts: dict[tuple[str, str], dict[str, Any]], user: str
) -> None:
    whole, without = (
        {layer.split()[0] for layer in attempts[sandbox, user]["layers"]}
        for sandbox in ("whole", "without namespaces")
    )
    assert whole - without <= {"process", "network", "thread"}
    assert {"Landlock", "seccomp", "brokered"} <= without


@pytest.mark.parametrize("user", _USERS)
@pytest.mark.parametrize("sandbox", ["whole", "forked"])
def test_a_worker_has_its_own_namespaces_and_user_and_no_capability(
    attempts: dict[tuple[str, str], dict[str, Any]], sandbox: str, user: str
) -> None:
    layers = set(attempts[sandbox, user]["layers"])
    assert {"process namespace", "network namespace", "thread limit", "seccomp"} <= layers
    assert layers & {"no capabilities", "no capabilities but reading"}
    assert any(layer.startswith("user ") for layer in layers) == (user == "root")


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


@pytest.mark.parametrize("user", _USERS)
def test_neither_threads_nor_descriptors_of_a_worker_are_without_end(
    attempts: dict[tuple[str, str], dict[str, Any]], user: str
) -> None:
    found = attempts["whole", user]
    assert 64 < found["threads"] <= 256
    assert 64 < found["descriptors"] <= 256
