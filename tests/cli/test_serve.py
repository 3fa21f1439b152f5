"""`maskwatch serve`: files as cameras, with faults on demand, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from maskwatch.cli.serve import serve
from maskwatch.errors import PortInUseError, SecretError, SourceGarbageError, UsageError

ClipOf = Callable[..., Path]


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-m", "maskwatch", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _apply(process: subprocess.Popen[str], fault: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{fault}\n")
    process.stdin.flush()
    return _line(process)


def _play(url: str) -> None:
    with av.open(url, options={"rtsp_transport": "tcp", "timeout": "20000000"}, timeout=20) as container:
        next(container.decode(video=0))


def test_files_are_served_and_faults_change_while_it_runs(clip_of: ClipOf) -> None:
    clips = f"hall={clip_of()}", f"door={clip_of(codec='hevc')}"
    with serving(*clips, "--fault", "door:status=404") as process:
        found = re.match(
            r"(rtsp://127\.0\.0\.1:\d+/hall)  H264 320x240 25\.0 fps, 2\.0 s", _line(process)
        )
        assert found is not None
        door = found[1].replace("/hall", "/door")
        assert _line(process).startswith(f"{door}  H265")
        _play(found[1])
        with pytest.raises(av.error.HTTPNotFoundError):
            _play(door)
        assert _apply(process, "door:clear") == "done: door:clear\n"
        _play(door)
        assert _apply(process, "status=503") == "done: status=503\n"
        with pytest.raises(av.error.HTTPServerError):
            _play(found[1])
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "stopped\n"
        assert process.wait(60) == 0


def test_a_login_is_required_and_the_password_is_not_shown(clip_of: ClipOf) -> None:
    path = clip_of()
    with serving(str(path), "--user", "ann", MASKWATCH_SERVE_PASSWORD="CANARY-4711") as process:
        line = _line(process)
        assert "CANARY" not in line
        url = line.split()[0]
        assert url.startswith("rtsp://***@")
        with pytest.raises(av.error.HTTPUnauthorizedError):
            _play(url.replace("***@", ""))
        _play(url.replace("***", "ann:CANARY-4711"))


def test_a_file_that_cannot_be_served_is_an_error_at_the_start(
    clip_of: ClipOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASKWATCH_SERVE_PASSWORD", raising=False)
    invalid = tmp_path / "text.mp4"
    invalid.write_text("no video")
    clip = str(clip_of())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        cases: list[tuple[list[str], type[Exception], str]] = [
            ([str(invalid), "--port", "0"], SourceGarbageError, "cannot be read as a video"),
            ([clip, "--port", port], PortInUseError, "cannot listen on"),
            ([clip, "--port", "0", "--user", "ann"], SecretError, "MASKWATCH_SERVE_PASSWORD"),
            ([clip, "--port", "0", "--fault", "dorp=1"], UsageError, "no fault 'dorp'"),
            ([clip, "--port", "0", "--fault", "x:stall"], UsageError, "no camera 'x'"),
        ]
        for arguments, error, message in cases:
            result = CliRunner().invoke(serve, arguments)
            assert isinstance(result.exception, error), (arguments, result)
            assert message in str(result.exception)
