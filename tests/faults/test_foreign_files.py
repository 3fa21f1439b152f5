"""The daemon of an ordinary user, where files or directories have another owner or a wrong mode."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from maskwatch.store.data_dir import DataDir
from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon, wait_started
from tests.fakes.samples import JPEG, change, entry, make_store
from tests.fakes.service_user import UID, as_service_user, give, service_environment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

STRANGER = 65534


class UsersDaemon(QuickDaemon):
    """The daemon of an ordinary user; `given` is everything that belongs to that user at first."""

    prefix: tuple[str, ...] = ()

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = super().command(verb, *arguments)
        return [*self.prefix, *command] if self.prefix else as_service_user(*command[1:])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder beside pytest's, which each run of pytest closes to other users again."""
    with tempfile.TemporaryDirectory(prefix="maskwatch-") as name:
        yield Path(name)


def make_daemon(folder: Path) -> UsersDaemon:
    """Return a daemon whose directories exist, with a database and a picture of a former run."""
    daemon = UsersDaemon(folder, IDLE_CAMERA, env=service_environment())
    store = make_store(daemon.data, reserve=1 << 16)
    store.changes.record([entry(change(1, closed=True), JPEG)])
    store.close()
    DataDir(daemon.data).lock.touch(mode=0o600)
    for suffix in ("-wal", "-shm"):
        daemon.data.joinpath(f"maskwatch.db{suffix}").touch(mode=0o600)
    daemon.runtime.mkdir(mode=0o700)
    for name in ("control.sock", "control.token", "recorder.sock"):
        daemon.runtime.joinpath(name).touch()
    give(folder)
    return daemon


def refused_line(daemon: UsersDaemon) -> str:
    """Run the daemon, which must end; return the line that says why."""
    done = subprocess.run(
        daemon.command("run"),
        env=service_environment(),
        cwd=daemon.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    [line] = [
        line for line in done.stderr.splitlines() if re.search(r"cannot (use|reach|replace)", line)
    ]
    return line


@dataclass(frozen=True)
class Fault:
    """What is wrong: the path below the folder of the daemon, and its owner, mode or type."""

    path: str
    owner: int = UID
    mode: int | None = None


def stranger(path: str, mode: int = 0o600) -> Fault:
    return Fault(path, STRANGER, mode)


FAULTS = [
    stranger("data", 0o700),
    pytest.param(stranger("data/maskwatch.db"), marks=pytest.mark.long),
    pytest.param(stranger("run", 0o700), marks=pytest.mark.long),
    *(
        pytest.param(fault, marks=[pytest.mark.long, pytest.mark.sweep])
        for fault in (
            Fault("data", 0, 0o755),
            Fault("data", mode=0o500),
            Fault("data/maskwatch.db", mode=0o400),
            stranger("data/maskwatch.db-wal"),
            stranger("data/maskwatch.db-shm"),
            stranger("data/lock"),
            stranger("data/reserve"),
            stranger("data/pictures", 0o755),
            stranger("data/pictures/2026-03-02", 0o700),
            Fault("run", 0, 0o755),
        )
    ),
]


def _apply(daemon: UsersDaemon, fault: Fault) -> Path:
    path = daemon.folder / fault.path
    if fault.path.startswith("data/pictures/"):
        [path] = DataDir(daemon.data).pictures.iterdir()
    os.chown(path, fault.owner, fault.owner)
    if fault.mode is not None:
        path.chmod(fault.mode)
    return path


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_wrong_owner_or_mode_is_one_line_with_the_command_that_corrects_it(
    fault: Fault, folder: Path
) -> None:
    daemon = make_daemon(folder)
    path = _apply(daemon, fault)
    line = refused_line(daemon)
    assert f"cannot use {path}" in line
    assert f"has mode {path.stat().st_mode & 0o7777:04o}" in line
    assert str(UID) in line
    subprocess.run(line.partition("run as root: ")[2], shell=True, check=True)
    with daemon:
        wait_started(daemon)
        assert daemon.stop() == 0


def test_a_command_names_the_owner_of_what_it_may_not_read(folder: Path) -> None:
    daemon = make_daemon(folder)
    os.chown(daemon.data, STRANGER, STRANGER)
    target = folder / "closed" / "copy.db"
    target.parent.mkdir(mode=0o700)
    for verb, path in (("events list", daemon.data), ("db backup", target.parent)):
        arguments = [str(target)] if verb == "db backup" else []
        done = subprocess.run(
            daemon.command(verb, *arguments),
            env=service_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 4, done.stderr
        assert f"{path} belongs to" in done.stderr
        assert done.stderr.endswith("run this command as the owner or as root\n")
        os.chown(daemon.data, UID, UID)
