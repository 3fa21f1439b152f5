"""What the sandbox holds back, once more with a daemon of an ordinary user."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.fakes.service_user import as_service_user, give, service_environment

_TESTS = ("tests/supervisor/test_network_broker.py", "tests/sandbox/test_enter.py")


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
