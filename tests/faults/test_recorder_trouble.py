"""The recorder with a full disk, a locked database, damaged files, and a second daemon."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from maskwatch.domain import IncidentKind
from maskwatch.ipc.messages import Heartbeat, Metrics
from maskwatch.store.queries import Filter, event_detail, events, read_session
from maskwatch.telemetry import catalogue
from tests.fakes.flipped_bits import flip
from tests.fakes.full_disk import MIB, full_disk
from tests.fakes.recorder_process import ROOT, RecorderProcess
from tests.fakes.samples import JPEG, change
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

TMPFS = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"'


def stored(database: Path) -> set[int]:
    """Return the indexes of the violations in a database."""
    with read_session(database) as session:
        return {event.id.int & 0xFFFFFF for event in events(session, Filter())}


def taken(recorder: RecorderProcess) -> list[int]:
    """Return the indexes of the violations whose first change the sink took, in order."""
    first_change = re.compile(r"019d0000-0000-7000-8000-([0-9a-f]{12}):1")
    return [int(found[1], 16) for alert in recorder.taken if (found := first_change.fullmatch(alert))]


# --- full disk --------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[RecorderProcess]:
    """Run a recorder with a private disk of 8 MiB as data directory, 1 MiB of it reserved."""
    data = tmp_path / "data"
    data.mkdir()
    prefix = ("unshare", "--mount", "sh", "-c", TMPFS, "8m", str(data))
    with RecorderProcess(tmp_path / "r", prefix=prefix, reserve=1, data=data).ready() as recorder:
        yield recorder


def inside(recorder: RecorderProcess) -> Path:
    """Return the data directory as the recorder sees it."""
    return Path(f"/proc/{recorder.process.pid}/root{recorder.data}")


def stored_inside(recorder: RecorderProcess) -> set[int]:
    """Return the indexes of the violations in the recorder's database, by the command line."""
    command = ["nsenter", "--target", str(recorder.process.pid), "--mount", sys.executable]
    command += ["-m", "maskwatch", "events", "export", "--data-dir", str(recorder.data)]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.splitlines()
    return {UUID(json.loads(line)["id"]).int & 0xFFFFFF for line in lines}


@pytest.mark.long
def test_on_a_full_disk_rows_then_memory_carry_alerts_and_all_is_stored_later(
    small_disk: RecorderProcess,
) -> None:
    data = inside(small_disk)
    worker = small_disk.worker()
    worker.send(change(0, closed=True), JPEG)
    assert worker.wait(1)[0].stored
    assert (data / "reserve").stat().st_size == MIB
    with full_disk(data):
        sent = 1
        while all(receipt.stored for receipt in worker.acknowledged):
            worker.send(change(sent, closed=True), JPEG)
            sent += 1
            worker.wait(sent, 60)
            assert sent < 3000, "a disk of 8 MiB cannot hold that many"
        assert not (data / "reserve").exists(), "the reserve is released first"
        assert sent > 100, "it has space for rows"
        for _ in range(20):
            worker.send(change(sent, closed=True))
            sent += 1
        assert [receipt.stored for receipt in worker.wait(sent, 60)[-20:]] == [False] * 20
        wait_until(lambda: len(taken(small_disk)) == sent, 60)
        assert taken(small_disk) == list(range(sent)), "each once, in order"
    wait_until(lambda: stored_inside(small_disk) == set(range(sent)), 60)
    wait_until((data / "reserve").exists, 60)
    worker.send(change(sent, closed=True))
    assert worker.wait(sent + 1)[-1].stored
    wait_until(lambda: len(taken(small_disk)) == sent + 1)
    assert taken(small_disk) == list(range(sent + 1)), "what was sent from memory is not sent again"


def test_a_violation_whose_picture_cannot_be_written_is_stored_without_it(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        pictures = recorder.data / "pictures"
        if pictures.is_dir():
            pictures.rmdir()
        pictures.write_text("a file in place of the folder")
        worker = recorder.worker()
        worker.send(change(1), JPEG)
        assert worker.wait(1)[0].stored
        with read_session(recorder.data / "maskwatch.db") as session:
            [event] = events(session, Filter())
            assert [step.picture for step in event_detail(session, event.id).steps] == [None]
        wait_until(lambda: taken(recorder) == [1])


# --- a locked database ------------------------------------------------------------------------------


@pytest.mark.long
def test_a_locked_database_acknowledges_nothing_and_loses_nothing(
    tmp_path: Path,
) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        worker = recorder.worker()
        worker.send(change(0))
        worker.wait(1)
        database = recorder.data / "maskwatch.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for index in range(1, 6):
                worker.send(change(index))
            recorder.messages.clear()
            beats = [recorder.await_message(Heartbeat, 20) for _ in range(4)]
            worker.receive()
            assert len(worker.acknowledged) == 1
            assert any(isinstance(beat, Heartbeat) and beat.reason == "locked" for beat in beats)
            other.execute("ROLLBACK")
        worker.wait(6)
        assert stored(database) == set(range(6))
        wait_until(lambda: taken(recorder) == list(range(6)))


@pytest.mark.long
@pytest.mark.sweep
def test_a_lasting_lock_sends_alerts_from_memory_and_opens_an_incident(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        worker = recorder.worker()
        with closing(sqlite3.connect(recorder.data / "maskwatch.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            worker.send(change(0))
            worker.send(change(0, 2, closed=True))
            receipts = worker.wait(2, 60)
            assert [receipt.stored for receipt in receipts] == [False, False]
            wait_until(lambda: recorder.taken[:1] == [change(0).alert_id], 60)
            wait_until(lambda: change(0, 2).alert_id in recorder.taken, 60)
            wait_until(lambda: len(recorder.taken) == 3, 60)  # and the incident
            other.execute("ROLLBACK")
        wait_until(lambda: stored(recorder.data / "maskwatch.db") == {0}, 60)
        wait_until(lambda: [kind for kind, _ in incidents(recorder)] == [IncidentKind.DISK], 60)
        assert "keeps the database locked" in incidents(recorder)[0][1]
        assert taken(recorder) == [0], "what was sent from memory is not sent again"


# --- damage -----------------------------------------------------------------------------------------


def overwrite(database: Path) -> None:
    """Overwrite every page but the first."""
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (size - 4096))


def test_a_database_damaged_while_it_is_in_use_is_replaced_and_work_goes_on(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        worker.send(change(1))
        worker.wait(1)
        database = recorder.data / "maskwatch.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            overwrite(database)
            # A commit by another process makes the recorder read its pages again.
            other.execute("PRAGMA user_version = 7")
        worker.send(change(2))
        assert worker.wait(2)[1].stored
        assert list(recorder.data.glob("maskwatch.damaged-*.db"))
        assert 2 in stored(database)
        recorder.set_behaviour("accept")
        wait_until(lambda: 2 in taken(recorder))
        [(kind, reason)] = incidents(recorder)
        assert kind == IncidentKind.STORE_DAMAGED
        assert "damaged file is kept" in reason
        assert "is damaged" in recorder.log


@pytest.mark.long
def test_undelivered_alerts_survive_damage_found_at_the_start(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        for index in range(30):
            worker.send(change(index, closed=True))
        worker.wait(30)
        recorder.kill()
        database = recorder.data / "maskwatch.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            root = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'ix_violation_started'"
            ).fetchone()[0]
        with database.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\x5a" * 4096)
        recorder.set_behaviour("accept")
        recorder.restart()
        wait_until(lambda: set(taken(recorder)) >= set(range(30)))
        assert recorder.stop() == 0


# --- removed or replaced ----------------------------------------------------------------------------


def lose_all_files(data: Path) -> None:
    for name in ("maskwatch.db", "maskwatch.db-wal", "maskwatch.db-shm"):
        (data / name).unlink()


def lose_the_database_alone(data: Path) -> None:
    (data / "maskwatch.db").unlink()


def lose_the_wal(data: Path) -> None:
    (data / "maskwatch.db-wal").unlink()


def lose_the_directory(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def replace_the_database(data: Path) -> None:
    """Restore a backup without stopping the daemon."""
    other = data / "other.db"
    with closing(sqlite3.connect(data / "maskwatch.db")) as of, closing(sqlite3.connect(other)) as to:
        of.backup(to)
        to.execute("DELETE FROM violation")
        to.commit()
    other.rename(data / "maskwatch.db")


@pytest.mark.long
@pytest.mark.parametrize(
    "harm",
    [
        lose_all_files,
        replace_the_database,
        *(
            pytest.param(harm, marks=pytest.mark.sweep)
            for harm in (lose_the_database_alone, lose_the_wal, lose_the_directory)
        ),
    ],
)
def test_a_removed_or_replaced_database_is_restored_before_any_acknowledgement(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        for index in range(5):
            worker.send(change(index, closed=True))
        worker.wait(5)
        harm(recorder.data)
        worker.send(change(5, closed=True))
        assert worker.wait(6)[5].stored
        recorder.kill()
        assert stored(recorder.data / "maskwatch.db") == set(range(6))
        assert recorder.log.count("was removed or replaced while it was in use") == 1
        recorder.set_behaviour("accept")
        recorder.restart()
        wait_until(lambda: set(taken(recorder)) == set(range(6)))
        wait_until(lambda: [kind for kind, _ in incidents(recorder)] == [IncidentKind.STORE_DAMAGED])
        assert "removed or replaced while it was in use" in incidents(recorder)[0][1]
        assert recorder.stop() == 0


@pytest.mark.long
def test_an_altered_alert_is_not_sent_and_an_altered_picture_is_reported(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        for index in (1, 2, 3):
            worker.send(change(index), JPEG)
        worker.wait(3)
        flip(next(recorder.data.glob(f"pictures/*/{change(3).violation.id}-1.jpg")), 8 * 50)
        with closing(sqlite3.connect(recorder.data / "maskwatch.db")) as other, other:
            other.execute("UPDATE change SET body = replace(body, '0.99', '0.98') WHERE id = 2")
        recorder.set_behaviour("accept")
        wait_until(lambda: {change(1).alert_id, change(3).alert_id} <= set(recorder.taken))
        wait_until(lambda: len(incidents(recorder)) == 2)
        assert change(2).alert_id not in recorder.taken
        reasons = " ".join(reason for _, reason in incidents(recorder))
        assert "rows of change could not be read" in reasons
        assert f"{change(3).violation.id}-1.jpg is damaged, and not sent" in reasons
        assert list(recorder.data.glob("maskwatch.damaged-*.db"))
        assert recorder.stop() == 0


def incidents(recorder: RecorderProcess) -> list[tuple[str, str]]:
    """Return kind and reason of each stored incident."""
    with read_session(recorder.data / "maskwatch.db") as session:
        found = session.connection().exec_driver_sql("SELECT kind, reason FROM incident").all()
    return [(kind, reason) for kind, reason in found]


@pytest.mark.long
def test_a_database_without_a_file_is_restored_once_there_is_space(
    small_disk: RecorderProcess,
) -> None:
    data = inside(small_disk)
    worker = small_disk.worker()
    worker.send(change(0, closed=True), JPEG)
    worker.wait(1)
    with full_disk(data):
        lose_all_files(data)
        worker.send(change(1, closed=True))
        wait_until(lambda: "cannot be written back now" in small_disk.log)
        worker.receive(1.0)
        assert len(worker.acknowledged) == 1
    assert worker.wait(2, 30)[1].stored
    wait_until(lambda: stored_inside(small_disk) == {0, 1})


# --- others -----------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_second_recorder_on_the_same_data_is_refused_with_the_owner_s_pid(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "one").ready() as first:
        with RecorderProcess(tmp_path / "two", data=first.data) as second:
            assert second.process.wait(30) == 6
            assert f"another maskwatch (pid {first.process.pid}) uses {first.data}" in second.log
        worker = first.worker()
        worker.send(change(1))
        worker.wait(1)


@pytest.mark.long
def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        assert recorder.stop() == 0
        database = recorder.data / "maskwatch.db"
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        before = database.read_bytes()
        recorder.start()
        assert recorder.process.wait(30) == 5
        assert "written by a newer maskwatch" in recorder.log
        assert database.read_bytes() == before


def test_a_worker_that_sends_garbage_loses_its_connection_and_no_other_does(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        good, bad, impostor = recorder.worker(), recorder.worker("gate"), recorder.worker("gate")
        os.write(bad.channel.fileno(), b"\xff" * 100)
        wait_until(lambda: bad.receive() or bad.channel.ended)
        impostor.send(change(1, camera="door"))
        wait_until(lambda: impostor.receive() or impostor.channel.ended)
        good.send(change(2))
        assert good.wait(1)[0].stored
        assert stored(recorder.data / "maskwatch.db") == {2}


@pytest.mark.long
def test_a_restarted_recorder_closes_nothing_of_a_worker_that_lives_on(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        worker.send(change(1))
        worker.wait(1)
        assert open_in(recorder) == {1}
        recorder.kill()
        recorder.restart()
        time.sleep(1)
        assert open_in(recorder) == {1}, "a restarted recorder closes nothing of a living worker"
        again = recorder.worker()  # the same process: the worker has only connected again
        again.send(change(1, 2))
        again.wait(1)
        assert open_in(recorder) == {1}


SUCCESSOR = """
import sys, time
from pathlib import Path
from tests.fakes.recorder_process import FakeWorker
from tests.fakes.samples import change
worker = FakeWorker(Path(sys.argv[1]))
if sys.argv[2:]:
    worker.send(change(int(sys.argv[2])))
    worker.wait(1)
print("done", flush=True)
time.sleep(60)
"""


@contextmanager
def worker_process(recorder: RecorderProcess, *arguments: str) -> Iterator[None]:
    """Run a worker as a process; `arguments` is the index of a violation that it opens."""
    command = [sys.executable, "-c", SUCCESSOR, str(recorder.socket), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        try:
            yield
        finally:
            process.kill()


@pytest.mark.long
def test_what_a_killed_worker_left_open_is_closed_when_its_successor_comes(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        with worker_process(recorder, "1"):
            assert open_in(recorder) == {1}
        with worker_process(recorder):
            wait_until(lambda: open_in(recorder) == set())
            wait_until(lambda: recorder.taken == [change(1).alert_id, change(1, 2).alert_id])
    with read_session(recorder.data / "maskwatch.db") as session:
        [event] = events(session, Filter())
    assert event.close_reason == "interrupted"


def open_in(recorder: RecorderProcess) -> set[int]:
    with read_session(recorder.data / "maskwatch.db") as session:
        return {event.id.int & 0xFFFF for event in events(session, Filter(only_open=True))}


@pytest.mark.long
def test_the_backlog_the_space_and_the_fates_are_measured(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        worker.send(change(1), JPEG)
        worker.wait(1)

        def measured() -> dict[str, float]:
            message = recorder.await_message(Metrics, 20)
            assert isinstance(message, Metrics)
            for sample in message.snapshot.samples:
                assert catalogue.problem(sample.name, dict(sample.labels)) == ""
            return {s.name: s.value for s in message.snapshot.samples if "part" not in dict(s.labels)}

        wait_until(lambda: measured().get(catalogue.OUTBOX_PENDING) == 1)
        values = measured()
        assert values[catalogue.SINK_READY] == 0
        assert values[catalogue.OUTBOX_OLDEST_SECONDS] > 0
        assert values[catalogue.STORE_FREE_BYTES] > 0
