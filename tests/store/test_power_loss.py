"""A power loss at any instant: what was acknowledged is there, and nothing is half there.

The store runs under strace; `tests.fakes.power_loss` rebuilds what its disk may hold after each call,
with unsynced writes lost, torn and reordered, and the real code opens that.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from uuid import UUID

import pytest

from maskwatch.clock import SystemClock
from maskwatch.store.backup import check_backup
from maskwatch.store.data_dir import DataDir
from maskwatch.store.engine import connect
from maskwatch.store.queries import ChangeSummary, Filter, event_detail, events, read_session
from maskwatch.store.store import open_store
from maskwatch.telemetry.meter import Meter
from tests.fakes.power_loss import (
    EVERYTHING,
    NOTHING,
    ONLY_NAMES,
    SIZES_WITHOUT_DATA,
    Disk,
    Survival,
    torn,
    traced,
    tracing,
)
from tests.fakes.recorder_process import RecorderProcess
from tests.fakes.samples import JPEG, change
from tests.fakes.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EVERY = [
    False,
    pytest.param(True, marks=[pytest.mark.long, pytest.mark.sweep, pytest.mark.timeout(1800)]),
]  # at each sync, or after each call
FINISHED = "finished"
EXTREMES = (NOTHING, EVERYTHING, ONLY_NAMES, SIZES_WITHOUT_DATA)


class Scenarios:
    """Runs the scenarios of `tests.fakes.power_workload`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.fakes.power_workload"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, bufsize=0)

    def run(self, folder: Path, name: str, log: Path | None = None, *options: str) -> int:
        """Run a scenario, traced into `log` if there is one; return its exit code."""
        self._send(f"{folder} {name}")
        pid = self._receive()
        with traced(pid, log, *options) if log else nullcontext():
            self._send("")
        return self._receive()

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    def _receive(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def scenarios() -> Iterator[Scenarios]:
    scenarios = Scenarios()
    with scenarios.process:
        yield scenarios
        scenarios.process.stdin.close()


def facts(folder: Path, *, repaired: bool = False) -> set[str]:
    """Open the store as a start does, check that nothing is half there; return what is stored."""
    data_dir = DataDir(folder / "data")
    data_dir.prepare()
    store, repair = open_store(
        data_dir, sinks=("mqtt",), reserve_bytes=0, clock=SystemClock(), meter=Meter()
    )
    found = {f"incident {each.number}" for each in store.state.open_incidents()}
    store.close()
    assert repaired or repair is None, repair
    with read_session(data_dir.database) as session:
        for event in events(session, Filter()):
            detail = event_detail(session, event.id)
            assert [step.change.number for step in detail.steps] == list(range(1, event.changes + 1))
            if event.acknowledged_by:
                found.add(f"acknowledged {event.id.int & 0xFFFF}")
            for step in detail.steps:
                found.update(change_facts(step, data_dir.pictures))
    return found


def change_facts(step: ChangeSummary, pictures: Path) -> Iterator[str]:
    """Return what is known of a stored change, which has one delivery."""
    name = f"{step.change.violation.id.int & 0xFFFF}:{step.change.number}"
    [delivery] = step.postings
    yield f"recorded {name}"
    if delivery.state == "delivered":
        yield f"delivered {name}"
    if step.picture is not None:
        assert (pictures / step.picture).read_bytes() == JPEG, step.picture
        yield f"picture {name}"


class PowerLoss:
    """A folder whose disk loses power in the middle of a scenario.

    Attributes:
        folder: where scenarios work; the database is in `data` in it.
        checked: how many disks were checked.
    """

    def __init__(self, folder: Path, scenarios: Scenarios) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        self.checked = 0
        self._scenarios = scenarios
        self._logs: list[Path] = []

    def begin(self) -> None:
        """Regard as durable what is there now."""
        self._disk = Disk(self.folder)

    def prepare(self, scenario: str) -> None:
        """Run a scenario that no power loss interrupts."""
        assert self._scenarios.run(self.folder, scenario) == 0

    def log(self) -> Path:
        """Return the file for the log of a process that a power loss interrupts."""
        self._logs.append(self.folder.with_name(f"log{len(self._logs)}"))
        return self._logs[-1]

    def run(self, scenario: str, *options: str, code: int = 0) -> None:
        """Run a scenario; its calls are added to those that a power loss interrupts."""
        assert self._scenarios.run(self.folder, scenario, self.log(), *options) == code

    def sweep(
        self,
        *,
        every: bool,
        before: frozenset[str] | None = None,
        after: frozenset[str] | None = None,
        repaired: bool = False,
    ) -> set[str]:
        """Check each disk that a power loss may leave; return what was acknowledged at the end.

        `before` and `after`: what is stored before the scenario and after it, and nothing between.
        `repaired`: whether a start may replace the database.
        """
        known: dict[bytes, set[str]] = {}
        done: set[str] = set()
        for left, when, done in self.remains(every=every):
            contents = digest(left)
            if contents not in known:
                known[contents] = facts(left, repaired=repaired)
                self.checked += 1
            found = known[contents]
            assert done - {FINISHED} <= found, f"lost {done - found} {when}"
            if after is not None:
                assert found == after or (found == before and FINISHED not in done), when
        return done

    def remains(self, *, every: bool) -> Iterator[tuple[Path, str, set[str]]]:
        """Yield the folder as a power loss may leave it, when that is, and what was done before."""
        scratch, done, number = self.folder.with_name("after"), set[str](), 0
        for step in (step for log in self._logs for step in self._disk.replay(log)):
            if step.kind == "mark":
                new = acknowledged(step.text) - done
                if not new:
                    continue
                done |= new
            number += 1
            for survival in survivals(number, step.kind, every=every):
                shutil.rmtree(scratch, ignore_errors=True)
                self._disk.write_remains(scratch, survival)
                yield scratch, f"after call {number} ({step.text}); survives: {survival.name}", done


def acknowledged(text: str) -> set[str]:
    """Return what a scenario marks as done, or the recorder acknowledges in messages to a worker."""
    done = {line[5:] for line in text.splitlines() if line.startswith("done ")}
    for violation, number in re.findall(r'"recorded","violation":"([0-9a-f-]+)","number":(\d+)', text):
        name = f"{UUID(violation).int & 0xFFFF}:{number}"
        done |= {f"recorded {name}", f"picture {name}"}
    return done


def digest(folder: Path) -> bytes:
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content.update(f"{path.relative_to(folder)}\0".encode())
        content.update(path.read_bytes() if path.is_file() else b"")
    return content.digest()


def survivals(number: int, kind: str, *, every: bool) -> tuple[Survival, ...]:
    if every:
        return (*EXTREMES, torn(number))
    if kind == "mark":
        return (NOTHING,)
    return (NOTHING if number % 2 else torn(number),) if kind == "sync" else ()


@pytest.fixture
def power(tmp_path: Path, scenarios: Scenarios) -> PowerLoss:
    return PowerLoss(tmp_path, scenarios)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, scenarios: Scenarios) -> Path:
    """A directory with old and young violations, and a -wal as a kill leaves it."""
    folder = tmp_path_factory.mktemp("filled")
    assert scenarios.run(folder, "fill") == 0
    return folder


@pytest.fixture
def full(power: PowerLoss, filled: Path) -> PowerLoss:
    shutil.copytree(filled, power.folder, dirs_exist_ok=True)
    return power


def copy_facts(folder: Path, scratch: Path) -> frozenset[str]:
    """Return the facts of a directory without a change to it."""
    shutil.copytree(folder, scratch)
    return frozenset(facts(scratch))


@pytest.mark.parametrize("every", EVERY)
def test_what_is_recorded_outlives_a_power_loss(power: PowerLoss, every: bool) -> None:
    power.begin()
    power.run("record")
    power.sweep(every=every)
    assert power.checked > 30


@pytest.mark.long
def test_what_the_recorder_acknowledges_to_a_worker_outlives_a_power_loss(power: PowerLoss) -> None:
    power.begin()
    log = power.log()
    # -D: the recorder must be the child of its supervisor, so strace is the child's child.
    with RecorderProcess(power.folder, prefix=[*tracing(log), "-D"]).ready() as recorder:
        worker = recorder.worker()
        for index in range(1, 6):
            worker.send(change(index), JPEG)
            worker.wait(index)
        worker.send(change(1, 2), JPEG)
        worker.wait(6)
        assert recorder.stop() == 0
    wait_until(lambda: "exit_group(" in log.read_text())
    assert len(power.sweep(every=False)) == 2 * 6


@pytest.mark.parametrize("every", EVERY)
def test_a_day_of_pictures_outlives_a_kill_and_then_a_power_loss(power: PowerLoss, every: bool) -> None:
    power.prepare("reopen")
    power.begin()
    power.run("die_in_a_new_day", code=-9)
    power.run("repeat")
    power.sweep(every=every)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_what_a_killed_recorder_left_is_synced_before_it_is_acknowledged(
    power: PowerLoss, call: int
) -> None:
    power.prepare("reopen")
    power.begin()
    power.run("repeat", "-e", f"inject=fdatasync:signal=KILL:when={call}", code=-9)
    # Another program that reads it keeps SQLite from folding the -wal into it at the next start.
    with closing(connect(power.folder / "data" / "maskwatch.db")) as reader:
        reader.execute("SELECT count(*) FROM change").fetchall()
        power.run("repeat")
    power.sweep(every=False)


@pytest.mark.parametrize("every", EVERY)
def test_retention_leaves_no_row_without_its_picture(full: PowerLoss, every: bool) -> None:
    full.begin()
    full.run("retain")
    full.sweep(every=every)
    assert full.checked > 4


@pytest.mark.parametrize("every", EVERY)
def test_a_backup_has_its_name_only_once_it_is_complete(full: PowerLoss, every: bool) -> None:
    full.begin()
    full.run("back_up")
    sizes = set()
    for after, when, done in full.remains(every=every):
        copy = after / "backup.db"
        assert copy.exists() or not done, when
        if copy.exists():
            check_backup(copy)
            sizes.add(copy.stat().st_size)
    assert len(sizes) == 1


@pytest.mark.parametrize("every", EVERY)
def test_a_restored_directory_has_the_old_database_or_the_backup(full: PowerLoss, every: bool) -> None:
    backed_up = copy_facts(full.folder, full.folder.with_name("old"))
    full.prepare("back_up")
    full.prepare("killed")
    old = copy_facts(full.folder, full.folder.with_name("new"))
    full.begin()
    full.run("put_back")
    full.sweep(every=every, before=old, after=backed_up, repaired=True)


@pytest.mark.long
@pytest.mark.parametrize("every", EVERY)
@pytest.mark.sweep
def test_a_repair_keeps_every_readable_row_whenever_power_is_lost(full: PowerLoss, every: bool) -> None:
    readable = copy_facts(full.folder, full.folder.with_name("sound"))
    full.prepare("damage_an_index")
    full.begin()
    full.run("reopen")
    full.sweep(every=every, before=readable, after=readable, repaired=True)


@pytest.mark.parametrize("every", EVERY)
def test_a_migration_is_complete_or_not_begun_whenever_power_is_lost(
    power: PowerLoss, every: bool
) -> None:
    power.prepare("begin_with_the_first_revision")
    stored = copy_facts(power.folder, power.folder.with_name("old"))
    power.begin()
    power.run("reopen")
    power.sweep(every=every, before=stored, after=stored)


@pytest.mark.long
@pytest.mark.parametrize("every", EVERY)
def test_a_database_written_back_is_complete_whenever_power_is_lost(
    full: PowerLoss, every: bool
) -> None:
    full.begin()
    full.run("write_back")
    full.sweep(every=every, repaired=True)


def test_the_wal_of_a_removed_database_is_not_applied_to_a_restored_one(full: PowerLoss) -> None:
    backed_up = copy_facts(full.folder, full.folder.with_name("old"))
    full.prepare("back_up")
    full.prepare("killed")
    (full.folder / "data" / "maskwatch.db").unlink()
    full.prepare("put_back")
    assert facts(full.folder) == backed_up
