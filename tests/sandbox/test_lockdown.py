"""What supervisor and recorder have given up, in a process of its own and in the daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon, wait_started

_TRY = """
import errno, sys
from maskwatch.sandbox.lockdown import lock_down_recorder, lock_down_supervisor
from tests.fakes.attacks.calls import call
{'supervisor': lock_down_supervisor, 'recorder': lock_down_recorder}[sys.argv[1]]()
for name in sys.argv[2].split():
    try:
        call(name, 0, 0, 0, 0, 0, 0)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
_REFUSED = "ptrace bpf setns mount io_uring_setup userfaultfd keyctl"
_RECORDER = (
    f"{_REFUSED} unshare setuid capset pidfd_getfd process_vm_readv prctl seccomp setxattr shmget"
)
_RECORDERS_WORK = (
    "tests/alerts/notify/test_isolated.py::test_a_mail_arrives",
    "tests/store/test_space.py",
    "tests/store/test_pictures.py",
)


@pytest.mark.parametrize(("process", "calls"), [("supervisor", _REFUSED), ("recorder", _RECORDER)])
def test_a_service_process_cannot_make_calls_that_it_does_not_need(process: str, calls: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TRY, process, calls],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["EPERM"] * len(calls.split())


@pytest.mark.faults
def test_supervisor_and_recorder_lock_themselves_down_without_a_unit(tmp_path: Path) -> None:
    with QuickDaemon(tmp_path, IDLE_CAMERA) as daemon:
        wait_started(daemon)
        recorder = daemon.status().recorder.pid
        for pid in (daemon.process.pid, recorder):
            status = Path(f"/proc/{pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
            assert "Seccomp:\t2" in status
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [
                ["0", "0"]
            ]


@pytest.mark.long
@pytest.mark.timeout(400)
def test_what_the_recorder_does_works_under_its_filter(root: Path) -> None:
    """Mail, and what is on the disk: their tests, in a process that is locked down."""
    code = (
        "import sys, pytest\n"
        "from maskwatch.sandbox.lockdown import lock_down_recorder\n"
        "assert 'seccomp' in lock_down_recorder()\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    options = ["-q", "-n0", "-p", "no:cacheprovider", "-m", "not long"]
    done = subprocess.run(
        [sys.executable, "-c", code, *options, *_RECORDERS_WORK],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
