"""The control socket is private, and no request blocks or breaks it."""

from __future__ import annotations

import asyncio
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.errors import ConfigError, ControlError
from maskwatch.ipc.control import (
    Answer,
    CommandDone,
    ReloadRequest,
    Request,
    RunCommand,
    ask,
    decode_answer,
)
from maskwatch.supervisor.control_server import ControlServer


class ServerThread:
    """A control server in a thread; its handler echoes the request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = asyncio.new_event_loop()
        self.server = ControlServer(path, self.handle)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.do(self.server.start())

    def do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(10)  # type: ignore[arg-type]  # always a coroutine

    async def handle(self, request: Request) -> Answer:
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


def test_only_the_daemon_s_user_may_open_the_socket(server: ServerThread) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


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
