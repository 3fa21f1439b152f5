"""The control socket is private, and no request blocks or breaks it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

import pytest

from maskwatch.errors import ConfigError, ControlError
from maskwatch.ipc import control
from maskwatch.ipc.control import (
    Answer,
    CommandDone,
    Refused,
    ReloadRequest,
    Request,
    RunCommand,
    ask,
    decode_answer,
    encode_line,
)
from maskwatch.ipc.control_token import TOKEN_FILE, is_proof, proof, read_token
from maskwatch.secrets import Secret
from maskwatch.supervisor import control_server
from maskwatch.supervisor.control_server import ControlServer
from tests.fakes.quick_daemon import ROOT


class ServerThread:
    """A control server in a thread; its handler echoes the request."""

    def __init__(self, path: Path, *arguments: Any) -> None:
        self.path = path
        self.loop = asyncio.new_event_loop()
        self.senders: list[str] = []
        self.server = ControlServer(path, self.handle, *arguments)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.do(self.server.start())

    @classmethod
    def in_folder(cls, folder: str, mode: int) -> Self:
        """Serve in a directory of this mode and of the group `GROUP`."""
        os.chown(folder, 0, GROUP)
        Path(folder).chmod(mode)
        return cls(Path(folder) / "control.sock")

    def do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(10)  # type: ignore[arg-type]  # always a coroutine

    async def handle(self, request: Request, sender: str) -> Answer:
        self.senders.append(sender)
        if isinstance(request, ReloadRequest):
            await asyncio.sleep(30)
        return CommandDone(ok=True, detail=repr(request))

    def close(self) -> None:
        self.do(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerThread]:
    running = ServerThread(tmp_path / "control.sock")
    yield running
    running.close()


def raw(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(line)
        return sock.makefile("rb").readline()


def test_a_request_is_answered(server: ServerThread) -> None:
    answer = ask(server.path, RunCommand(verb="enable", target="hall"), timeout=5)
    assert isinstance(answer, CommandDone)
    assert "hall" in answer.detail


def modes(folder: Path) -> list[int]:
    return [stat.S_IMODE((folder / name).stat().st_mode) for name in ("control.sock", TOKEN_FILE)]


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711, 0o770 | 0o001])
def test_only_the_daemon_s_user_may_open_socket_and_token(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    running = ServerThread(tmp_path / "control.sock")
    assert modes(tmp_path) == [0o600, 0o600]
    running.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o710, 0o750])
def test_a_runtime_directory_open_to_its_group_lets_it_control_the_daemon(
    tmp_path: Path, mode: int
) -> None:
    tmp_path.chmod(mode)
    running = ServerThread(tmp_path / "control.sock")
    assert modes(tmp_path) == [0o660, 0o640]
    running.close()


def test_the_handler_learns_who_asks(server: ServerThread) -> None:
    ask(server.path, RunCommand(verb="enable"), timeout=5)
    (sender,) = server.senders
    assert f"(uid {os.geteuid()}), pid {os.getpid()} (" in sender


@pytest.mark.parametrize(
    "answer", [b"", b"\n", b"{}\n", b'{"type":"proof","mac":"00"}\n', b"[" * 30_000 + b"\n"]
)
def test_a_request_without_the_right_proof_runs_nothing(server: ServerThread, answer: bytes) -> None:
    request = encode_line(RunCommand(verb="disable", target="door"))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(server.path))
        sock.sendall(request)
        lines = sock.makefile("rb")
        challenge = decode_answer(lines.readline())
        assert isinstance(challenge, Refused)
        assert challenge.challenge
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        refusal = decode_answer(lines.readline())
        assert isinstance(refusal, Refused)
        assert not refusal.challenge
    assert server.senders == []


def test_a_proof_holds_for_one_challenge_and_one_request(server: ServerThread) -> None:
    token = read_token(server.path.with_name(TOKEN_FILE))
    line = encode_line(RunCommand(verb="enable"))
    given = proof(token, "challenge", line)
    assert is_proof(given, token, "challenge", line)
    assert not is_proof(given, token, "another", line)
    assert not is_proof(given, token, "challenge", encode_line(RunCommand(verb="disable")))
    assert not is_proof("\u00fc", token, "challenge", line)


def test_the_token_does_not_travel(server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    token = read_token(server.path.with_name(TOKEN_FILE)).reveal().encode()
    sent = bytearray()
    sendall = socket.socket.sendall

    def record(self: socket.socket, data: bytes) -> None:
        sent.extend(data)
        sendall(self, data)

    monkeypatch.setattr(socket.socket, "sendall", record)
    ask(server.path, RunCommand(verb="enable"), timeout=5)
    assert b"proof" in sent
    assert token not in sent


def test_a_client_that_cannot_read_the_token_gets_a_clear_error(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Secret:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(control, "read_token", refuse)
    with pytest.raises(ControlError, match=r"control.token: permission denied.*use sudo"):
        ask(server.path, RunCommand(verb="enable"), timeout=5)
    monkeypatch.undo()
    server.path.with_name(TOKEN_FILE).unlink()
    with pytest.raises(ControlError, match="try later"):
        ask(server.path, RunCommand(verb="enable"), timeout=5)
    server.do(server.server.stay_reachable())
    assert ask(server.path, RunCommand(verb="enable"), timeout=5)


def test_a_former_version_of_the_command_reads_why_it_is_refused(server: ServerThread) -> None:
    answer = decode_answer(raw(server.path, b'{"type":"status"}\n'))
    assert isinstance(answer, Refused)
    assert "the daemon's version" in answer.reason


def ask_sandboxed(path: Path, *readable: Path) -> str:
    """Have a process in a worker's sandbox ask; return what it printed. It runs beside the socket."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.sandboxed_client", str(path), *map(str, readable)],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_a_process_that_is_sandboxed_like_a_worker_is_refused(server: ServerThread) -> None:
    assert "sandboxed more than the daemon" in ask_sandboxed(server.path, server.path.parent)
    assert server.senders == []


def test_a_sandboxed_worker_cannot_read_the_token(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "has_more_filters", lambda _: False)
    assert "control.token: permission denied" in ask_sandboxed(server.path)
    assert server.senders == []


def test_a_child_of_the_daemon_is_refused_and_reported(tmp_path: Path) -> None:
    reported: list[int] = []
    running = ServerThread(
        tmp_path / "control.sock", lambda: [os.getpid()], lambda pid, _: reported.append(pid)
    )
    with pytest.raises(ControlError):
        ask(running.path, RunCommand(verb="disable"), timeout=5)
    running.close()
    assert running.senders == []
    assert reported == [os.getpid()]


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"\xff\xfe\n", b'{"type":"explode"}\n', b"[" * 5000 + b"\n"]
)
def test_an_invalid_request_is_refused_with_a_reason(server: ServerThread, line: bytes) -> None:
    with pytest.raises(ControlError, match="refused"):
        _answer_of(raw(server.path, line))
    assert ask(server.path, RunCommand(verb="enable"), timeout=5)


def _answer_of(line: bytes) -> None:
    answer = decode_answer(line)
    raise ControlError(f"refused: {answer}")


def test_a_request_that_is_too_long_is_refused(server: ServerThread) -> None:
    assert b"at most" in raw(server.path, b"x" * 200_000)


def test_a_slow_request_does_not_block_another(server: ServerThread) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(server.path))
        slow.sendall(b'{"type":"reload"}\n')
        assert ask(server.path, RunCommand(verb="enable"), timeout=5)


def test_silent_clients_keep_no_other_from_the_socket(server: ServerThread) -> None:
    """The one that has waited longest makes room for a new client."""
    with ExitStack() as stack:
        for _ in range(100):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.connect(str(server.path))
            silent.send(b"{")
        for _ in range(3):
            answer = ask(server.path, RunCommand(verb="enable", target="hall"), timeout=10)
            assert isinstance(answer, CommandDone)


def test_the_client_waits_no_longer_than_its_timeout(server: ServerThread) -> None:
    with pytest.raises(ControlError, match="did not answer within"):
        ask(server.path, ReloadRequest(), timeout=0.3)


def test_without_a_daemon_the_client_reports_that_none_listens(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no daemon listens"):
        ask(tmp_path / "control.sock", ReloadRequest(), timeout=1)


def test_a_socket_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    running = ServerThread(path)
    assert ask(path, RunCommand(verb="enable"), timeout=5)
    running.close()
    assert not path.exists()


def test_a_directory_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    missing = ControlServer(tmp_path / "no" / "control.sock", None)  # type: ignore[arg-type]  # never called
    with pytest.raises(ConfigError, match="cannot listen"):
        asyncio.run(missing.start())


OTHER, GROUP = 65534, 12345
AS_OTHER_USER = f"""
import os, sys
from pathlib import Path
from maskwatch.errors import ControlError
from maskwatch.ipc.control import RunCommand, ask
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid({OTHER})
try:
    print(ask(Path(sys.argv[1]), RunCommand(verb="enable"), timeout=5))
except ControlError as error:
    print(error)
"""


def answer_to_other_user(mode: int, group: int) -> str:
    """Return the answer to a user without rights, of this group, and the directory's group and mode."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ServerThread.in_folder(folder, mode)) as running,
    ):
        command = [sys.executable, "-c", AS_OTHER_USER, str(running.path), str(group)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize(("mode", "group"), [(0o700, GROUP), (0o755, GROUP), (0o710, OTHER)])
def test_another_user_is_refused_and_learns_what_to_do(mode: int, group: int) -> None:
    if os.geteuid() == 0:  # only root becomes another user
        assert "permission denied. The daemon obeys root" in answer_to_other_user(mode, group)


def test_a_member_of_the_group_of_the_runtime_directory_is_answered() -> None:
    if os.geteuid() == 0:
        assert "CommandDone(ok=True" in answer_to_other_user(0o710, GROUP)
