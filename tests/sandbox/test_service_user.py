"""What the sandbox holds back, once more with a daemon of an ordinary user."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.fakes.service_user import UID, as_service_user, give, service_environment

_TESTS = ("tests/supervisor/test_network_broker.py", "tests/sandbox/test_enter.py")


_MAP = """
import ctypes, os, sys
assert ctypes.CDLL(None).unshare(0x10000000) == 0
try:
    os.write(os.open("/proc/self/uid_map", os.O_WRONLY), f"0 {sys.argv[1]} 1".encode())
except PermissionError:
    print("refused")
"""


@pytest.mark.parametrize(("user", "answer"), [(UID, ""), (UID + 1, "refused")])
def test_the_kernel_maps_no_id_but_ones_own_for_an_ordinary_user(user: int, answer: str) -> None:
    """So its workers cannot have an id of their own; see docs/limits.md."""
    done = subprocess.run(
        as_service_user("-c", _MAP, str(user)),
        env=service_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == answer


@pytest.mark.long
@pytest.mark.timeout(300)
def test_an_ordinary_user_s_workers_are_sandboxed_as_those_of_root(root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="maskwatch-") as name:
        give(Path(name))
        options = f"-m pytest -q -n0 -p no:cacheprovider --basetemp {name}/tmp -k".split()
        done = subprocess.run(
            as_service_user(*options, "not of_root and not root_keeps and not root_is_to_play", *_TESTS),
            env=service_environment(),
            cwd=root,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
