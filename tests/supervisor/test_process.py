"""What a child process inherits, uses and imports, and how its exit is described."""

from __future__ import annotations

import os
import sys

from maskwatch.supervisor.process import child_environment, describe_exit
from maskwatch.supervisor.process_usage import read_usage


def test_a_child_inherits_no_variable_that_may_be_a_secret() -> None:
    environ = {
        "PATH": "/bin", "HALL_PASSWORD": "x", "CREDENTIALS_DIRECTORY": "/c", "LC_ALL": "C",
        "NOTIFY_SOCKET": "/n", "AWS_SECRET_ACCESS_KEY": "y", "https_proxy": "http://u:p@proxy",
    }  # fmt: skip
    inherited = child_environment(environ, "maskwatch.worker")
    assert {"PATH", "LC_ALL"} <= inherited.keys()
    assert not {"HALL_PASSWORD", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"} & inherited.keys()
    assert not {"AWS_SECRET_ACCESS_KEY", "https_proxy"} & inherited.keys()
    assert "https_proxy" in child_environment(environ, "maskwatch.recorder")


def test_the_exit_of_a_process_is_described_in_words() -> None:
    assert describe_exit(7) == "ended with exit code 7"
    assert "supervision.worker_megabytes" in describe_exit(8)
    assert "SIGSEGV" in describe_exit(-11)
    assert "out of memory" in describe_exit(-9)
    assert "signal 64" in describe_exit(-64) or "SIGRTMAX" in describe_exit(-64)


def test_the_usage_of_a_running_process_can_be_read_and_of_no_other() -> None:
    usage = read_usage(os.getpid())
    assert usage is not None
    assert 10 << 20 < usage.resident < 8 << 30
    assert usage.cpu > 0
    assert usage.fds is not None
    assert usage.fds > 3
    assert read_usage(2**22 + 1) is None


def test_importing_the_supervisor_loads_no_heavy_library() -> None:
    import subprocess

    heavy = ["cv2", "av", "ai_edge_litert", "tflite_runtime", "sqlalchemy", "numpy"]
    code = f"import sys, maskwatch.supervisor.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_worker_s_first_part_loads_no_heavy_library() -> None:
    import subprocess

    heavy = ["cv2", "av", "ai_edge_litert", "numpy", "sqlalchemy", "paho"]
    code = f"import sys, maskwatch.worker.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
