"""Runs a program as an ordinary user, as the service's user is: without any capability."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

UID = 61_234
_ROOT = Path(__file__).resolve().parents[2]


def as_service_user(*arguments: str) -> list[str]:
    """Return the command that runs Python with these arguments as that user."""
    drop = "--clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all"
    return ["setpriv", "--reuid", str(UID), "--regid", str(UID), *drop.split(), _python(), *arguments]


def service_environment() -> dict[str, str]:
    """Return the environment in which `as_service_user` finds our code and its libraries."""
    paths = [str(_ROOT), sysconfig.get_path("purelib")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOME": "/nonexistent"}


def give(folder: Path) -> None:
    """Give a folder and all below it to that user, and open its parents to it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _python() -> str:
    """Return this Python, or one of the same version outside of a directory that is closed to others."""
    real = Path(sys.executable).resolve()
    if all(parent.stat().st_mode & 0o001 for parent in real.parents):
        return sys.executable
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(name, path="/usr/local/bin:/usr/bin")
    assert found, f"no {name} that an ordinary user can run"
    return found
