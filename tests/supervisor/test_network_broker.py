"""A sandboxed worker's connections, made by the supervisor: to its camera and the recorder only."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from maskwatch.config.schema import CameraConfig, Transport
from maskwatch.secrets import SecretUrl
from tests.fakes.attacks import REFUSED
from tests.fakes.attacks.calls import Targets
from tests.fakes.brokered import BrokeredRun

_ATTEMPT = """
import json, msgspec
from tests.fakes.attacks import attempt_all
from tests.fakes.attacks.calls import Targets
targets = msgspec.json.decode({targets!r}, type=Targets)
print(json.dumps({{**attempt_all(targets, "network/"), **attempt_all(targets, "local/")}}))
"""


def camera(host: str, port: int, transport: Transport = Transport.TCP) -> CameraConfig:
    return CameraConfig(name="a", url=SecretUrl(f"rtsp://{host}:{port}/"), transport=transport)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "recorder.sock"))
        listener.listen()
        yield listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("timeout", ["None", "10"])
def test_a_worker_reaches_its_camera_with_and_without_waiting(
    server: socket.socket, tmp_path: Path, timeout: str
) -> None:
    def greet() -> None:
        client, _ = server.accept()
        with client:
            client.sendall(client.recv(5)[::-1])

    threading.Thread(target=greet, daemon=True).start()
    code = (
        f"s = socket.create_connection(('127.0.0.1', {port_of(server)}), timeout={timeout})\n"
        "s.sendall(b'hello'); print(s.recv(5).decode(), 'brokered network' in layers)"
    )
    run = BrokeredRun(code, camera("127.0.0.1", port_of(server)), tmp_path / "recorder.sock")
    assert run.output == "olleh True"
    assert run.misbehaved == []


def test_a_refused_connection_is_reported_as_such(server: socket.socket, tmp_path: Path) -> None:
    port = port_of(server)
    server.close()
    run = BrokeredRun(
        f"socket.create_connection(('127.0.0.1', {port}))", camera("127.0.0.1", port), tmp_path / "r"
    )
    assert "ConnectionRefusedError" in run.output


def test_the_recorder_learns_from_the_supervisor_which_worker_connects(
    recorder: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "recorder.sock"
    code = f"s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r})"
    run = BrokeredRun(code, camera("127.0.0.1", 1), path)
    peer, address = recorder.accept()
    peer.close()
    assert address.startswith(f"\0maskwatch/worker/{run.pid}/".encode())


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
def test_no_other_address_or_socket_is_reached(
    server: socket.socket, tmp_path: Path, transport: Transport
) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.2", 0))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "other.sock"))
        unix.listen()
        targets = Targets(
            victims=(os.getpid(),),
            file="",
            folder="",
            unix=str(tmp_path / "other.sock"),
            tcp=port_of(other),
            udp=port_of(udp),
        )
        code = _ATTEMPT.format(targets=msgspec.json.encode(targets).decode())
        place = camera("127.0.0.3", port_of(server), transport)
        run = BrokeredRun(code, place, tmp_path / "r", udp=transport is Transport.UDP)
    results = json.loads(run.output)
    assert {name: error for name, error in results.items() if error not in REFUSED | {"ENOENT"}} == {}


def test_a_camera_over_udp_gets_datagrams_and_no_one_else(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(20)
        code = (
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 0))\n"
            f"print(s.sendto(b'hole', ('127.0.0.1', {port_of(udp)})))\n"
            f"s.sendto(b'leak', ('127.0.0.9', {port_of(udp)}))"
        )
        run = BrokeredRun(code, camera("127.0.0.1", 554, Transport.UDP), tmp_path / "r", udp=True)
        assert udp.recv(10) == b"hole"
    assert run.output.startswith("4\n")
    assert "PermissionError" in run.output


def test_the_camera_s_name_is_resolved_and_no_other(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert host == "camera.test"
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr("maskwatch.supervisor.camera_peers.socket.getaddrinfo", resolve)
    code = (
        f"socket.create_connection(('camera.test', {port_of(server)}), timeout=20); print('connected')\n"
        "socket.getaddrinfo('secret.attacker.test', 1)"
    )
    run = BrokeredRun(code, camera("camera.test", port_of(server)), tmp_path / "r", names=True)
    assert run.output.startswith("connected\n")
    assert "gaierror" in run.output


def test_an_attack_on_the_system_is_reported(tmp_path: Path) -> None:
    code = "import os; os.chmod('/tmp', 0o777)"
    run = BrokeredRun(code, camera("127.0.0.1", 554), tmp_path / "r")
    assert "PermissionError" in run.output
    assert run.misbehaved == ["made the system call chmod"]


def test_the_worker_is_process_one_of_its_namespace(tmp_path: Path) -> None:
    run = BrokeredRun(
        "import os; print(os.getpid(), os.getppid())", camera("127.0.0.1", 554), tmp_path / "r"
    )
    assert run.output == "1 0"
    assert run.pid > 1


def test_a_worker_has_no_network_of_its_own(tmp_path: Path) -> None:
    code = "print('network namespace' in layers, open('/proc/self/net/dev').read())"
    run = BrokeredRun(code, camera("127.0.0.1", 554), tmp_path / "r")
    assert run.output.startswith("True")
    assert [line.split(":")[0].strip() for line in run.output.splitlines() if ":" in line] == ["lo"]
