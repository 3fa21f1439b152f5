"""What a sandboxed worker can still do, and what not; each in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from maskwatch.sandbox import landlock

ENTER = "from maskwatch.sandbox import enter as sandbox\nlayers = sandbox.enter({files!r}, {ports!r})\n"

# An older kernel offers less; there, the missing layer must not be claimed.
LANDLOCK = landlock.abi()


def sandboxed(code: str, files: list[str] | None = None, ports: list[int] | None = None) -> str:
    """Run `code` in the sandbox; return what it printed, and the last line of its error."""
    program = ENTER.format(files=files or [], ports=ports or []) + code
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    error = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    return "\n".join([done.stdout.strip(), *error]).strip()


def test_the_layers_in_force_are_returned() -> None:
    output = sandboxed("print(layers)")
    assert "no new privileges" in output
    assert "seccomp" in output


def test_other_files_cannot_be_read_or_written(tmp_path: Path) -> None:
    if LANDLOCK < 1:
        assert ("Landlock" in sandboxed("print(layers)")) == bool(LANDLOCK)
        return
    secret = tmp_path / "secret"
    secret.write_text("x")
    assert "PermissionError" in sandboxed(f"open({str(secret)!r}).read()")
    assert "PermissionError" in sandboxed(f"open({str(tmp_path / 'new')!r}, 'w')")
    assert "PermissionError" in sandboxed("open('/etc/shadow').read()")
    assert sandboxed(f"print(open({str(secret)!r}).read())", [str(secret)]) == "x"


def test_readable_files_cannot_be_written(tmp_path: Path) -> None:
    if LANDLOCK < 1:
        assert ("Landlock" in sandboxed("print(layers)")) == bool(LANDLOCK)
        return
    allowed = tmp_path / "clip"
    allowed.write_text("x")
    assert "PermissionError" in sandboxed(f"open({str(allowed)!r}, 'a')", [str(allowed)])


def test_tcp_connects_only_to_the_camera_s_port() -> None:
    if LANDLOCK < 4:
        assert ("Landlock" in sandboxed("print(layers)")) == bool(LANDLOCK)
        return
    with (
        socket.create_server(("127.0.0.1", 0)) as camera,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = [camera.getsockname()[1], other.getsockname()[1]]
        for listener in (camera, other):
            threading.Thread(target=listener.listen, daemon=True).start()
        code = (
            "import socket\n"
            f"socket.create_connection(('127.0.0.1', {ports[0]})); print('camera')\n"
            f"socket.create_connection(('127.0.0.1', {ports[1]})); print('other')\n"
        )
        output = sandboxed(code, ports=ports[:1])
    assert output.startswith("camera\n")
    assert "PermissionError" in output
    assert "other" not in output.splitlines()


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.run(['/bin/true'])",
        "import os; os.fork()",
        "import os; os.execv('/bin/true', ['true'])",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()",
        "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        (
            "import ctypes, os\n"
            "r = ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0)\n"
            "if r: raise PermissionError(os.strerror(ctypes.get_errno()))"
        ),
        (
            "import ctypes, os\n"
            "r = ctypes.CDLL(None, use_errno=True).unshare(0x10000000)\n"
            "if r: raise PermissionError(os.strerror(ctypes.get_errno()))"
        ),
    ],
)
def test_programs_children_listeners_and_tracing_are_refused(code: str) -> None:
    assert "PermissionError" in sandboxed(code)


def test_threads_and_name_resolution_work() -> None:
    code = (
        "import threading, socket, time\n"
        "t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()\n"
        "print(socket.getaddrinfo('localhost', 554)[0][4][1])"
    )
    assert sandboxed(code) == "554"


def test_a_core_dump_would_contain_no_memory() -> None:
    code = (
        "import resource\nprint(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "print(open('/proc/self/coredump_filter').read().strip())"
    )
    output = sandboxed(code)
    assert output.startswith("(0, 0)\n00000000")


def test_the_models_can_be_loaded_and_used_in_the_sandbox() -> None:
    code = (
        "import numpy as np\n"
        "from maskwatch.vision.faces import FaceDetector\n"
        "from maskwatch.vision.masks import MaskClassifier\n"
        "import av, cv2\n"
        "MaskClassifier(None)\n"
        "print(len(FaceDetector().detect(np.zeros((96, 96, 3), np.uint8))))\n"
    )
    assert sandboxed(code) == "0"


def test_the_working_directory_cannot_be_read(tmp_path: Path) -> None:
    """`python -m` adds it to the paths of modules; the runtime directory may lie in it."""
    if LANDLOCK < 1:
        assert ("Landlock" in sandboxed("print(layers)")) == bool(LANDLOCK)
        return
    (tmp_path / "control.token").write_text("x")
    (tmp_path / "attack.py").write_text(
        ENTER.format(files=[], ports=[]) + "print(open('control.token').read())"
    )
    done = subprocess.run(
        [sys.executable, "-m", "attack"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "PermissionError" in done.stderr


def test_root_keeps_no_capability_in_the_sandbox() -> None:
    output = sandboxed("print(open('/proc/self/status').read())")
    sets = [line.split()[1] for line in output.splitlines() if line.startswith("Cap")]
    assert len(sets) == 5
    assert set(sets) == {"0" * 16}


def test_a_file_of_another_user_that_root_is_to_play_stays_readable(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_text("x")
    os.chown(clip, 61_000, 61_000)
    clip.chmod(0o600)
    assert sandboxed(f"print(open({str(clip)!r}).read())", [str(clip)]) == "x"
