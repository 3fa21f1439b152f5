"""What a child process inherits, and what its end is called."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from maskwatch.supervisor.metrics import read_usage
from maskwatch.supervisor.process import environment, exit_in_words


def test_a_child_is_given_nothing_of_the_environment_that_may_be_a_secret() -> None:
    ours = {
        "PATH": "/bin", "HALL_PASSWORD": "x", "CREDENTIALS_DIRECTORY": "/c", "LC_ALL": "C",
        "NOTIFY_SOCKET": "/n", "AWS_SECRET_ACCESS_KEY": "y", "https_proxy": "http://u:p@proxy",
    }  # fmt: skip
    given = environment(ours, "maskwatch.worker")
    assert {"PATH", "LC_ALL"} <= given.keys()
    assert not {"HALL_PASSWORD", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"} & given.keys()
    assert not {"AWS_SECRET_ACCESS_KEY", "https_proxy"} & given.keys()
    assert "https_proxy" in environment(ours, "maskwatch.recorder")


def test_onnxruntime_reports_to_nobody(root: Path) -> None:
    text = (root / "maskwatch" / "__init__.py").read_text()
    assert 'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")' in text
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert exit_in_words(7) == "ended with exit code 7"
    assert "SIGSEGV" in exit_in_words(-11)
    assert "out of memory" in exit_in_words(-9)
    assert "signal 64" in exit_in_words(-64) or "SIGRTMAX" in exit_in_words(-64)


def test_what_this_process_uses_can_be_read_and_a_dead_one_uses_nothing() -> None:
    vitals = read_usage(os.getpid())
    assert vitals is not None
    assert 10 << 20 < vitals.resident < 8 << 30
    assert vitals.cpu > 0
    assert vitals.fds is not None
    assert vitals.fds > 3
    assert read_usage(2**22 + 1) is None


def test_importing_the_supervisor_loads_no_heavy_library() -> None:
    import subprocess

    heavy = ["cv2", "av", "onnxruntime", "ai_edge_litert", "tflite_runtime", "sqlalchemy", "numpy"]
    code = f"import sys, maskwatch.supervisor.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_worker_s_first_part_loads_no_heavy_library() -> None:
    import subprocess

    heavy = ["cv2", "av", "onnxruntime", "ai_edge_litert", "numpy", "sqlalchemy", "paho"]
    code = f"import sys, maskwatch.worker.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
