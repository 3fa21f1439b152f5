"""What native libraries write to file descriptor 2 becomes log events without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

_HEAD = """
import json, logging, os, sys
from maskwatch.config.schema import LogConfig, LogFormat
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry.logs import setup
from maskwatch.telemetry.native_stderr import capture_stderr, enable_libav_log
SecretUrl("rtsp://viewer:canary-pw@192.0.2.1/s")
capture = capture_stderr()
setup(LogConfig(format=LogFormat.JSON, level="debug"), "worker", "door", stream=capture.stream)
"""


def _run(code: str) -> tuple[list[str], int]:
    """Run in a process of its own: file descriptor 2 is the whole process's."""
    command = [sys.executable, "-c", _HEAD + textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.stderr.splitlines(), done.returncode


def test_each_native_line_is_an_event_of_this_process_without_secrets() -> None:
    lines, code = _run(
        r"""
        os.write(2, b"[rtsp] 401 for rtsp://viewer:canary-pw@192.0.2.1/s\n\nhalf a ")
        os.write(2, b"line \xff canary-pw")
        print("from Python: canary-pw", file=sys.stderr)
        capture.close()
        """
    )
    events = [json.loads(line) for line in lines]
    assert code == 0
    assert [event["message"] for event in events] == [
        "[rtsp] 401 for rtsp://***@192.0.2.1/s",
        "half a line \\xff ***from Python: ***",
    ]
    assert {(e["process"], e["camera"], e["origin"]) for e in events} == {("worker", "door", "stderr")}


def test_closing_restores_standard_error() -> None:
    lines, _ = _run('capture.close(); os.write(2, b"plain\\n")')
    assert lines == ["plain"]


def test_a_writer_never_blocks_without_a_reader() -> None:
    """The reader needs the interpreter's lock; a library that holds it must not wait for the reader."""
    lines, code = _run(
        r"""
        import ctypes
        write = ctypes.PyDLL(None).write   # does not release the lock
        for _ in range(3000):
            write(2, b"x" * 1000 + b"\n", 1001)
        capture.close()
        """
    )
    assert code == 0
    assert all(json.loads(line)["message"].startswith("x") for line in lines)


def test_a_crash_of_the_interpreter_is_reported_on_the_original_descriptor() -> None:
    lines, code = _run("import faulthandler; faulthandler._sigabrt()")
    assert code != 0
    assert any("Fatal Python error" in line for line in lines)


def test_an_uncaught_exception_is_an_event() -> None:
    lines, code = _run('raise RuntimeError("canary-pw")')
    assert code == 1
    (event,) = (json.loads(line) for line in lines)
    assert event["level"] == "critical"
    assert "canary" not in event["traceback"]


def test_libav_logs_at_debug_only() -> None:
    for level, heard in (("debug", True), ("info", False)):
        lines, _ = _run(
            f"""
            enable_libav_log({level!r})
            import av, av.logging
            av.logging.log(av.logging.ERROR, "rtsp", "no rtsp://viewer:canary-pw@192.0.2.1/s")
            capture.close()
            """
        )
        assert bool(lines) is heard
        assert "canary" not in "".join(lines)


def test_a_user_whose_pipes_have_reached_their_limit_gets_the_usual_size() -> None:
    """An ordinary user has 64 MiB for all pipes; a worker that insisted on its own never started."""
    code = """
        import fcntl

        def refuse(*_):
            raise PermissionError(1, "Operation not permitted")

        fcntl.fcntl = refuse
        other = capture_stderr()
        other.close()
        capture.close()
    """
    assert _run(code) == ([], 0)
