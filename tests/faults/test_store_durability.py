"""After `record()` has returned nothing is lost: what is synced before, and kills in between."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maskwatch.domain import Change
from maskwatch.store.queries import Filter, event_detail, events, read_session
from tests.fakes.recorder_process import FakeWorker, RecorderProcess
from tests.fakes.samples import JPEG, START, change
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@contextmanager
def traced(pid: int, output: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Attach strace to a running process."""
    command = ["strace", "-f", "-y", "-qq", "-o", str(output), "-p", str(pid), *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        status = Path(f"/proc/{pid}/status")
        wait_until(lambda: not re.search(r"TracerPid:\s+0\n", status.read_text()))
        try:
            yield tracer
        finally:
            tracer.terminate()


def first(lines: list[str], pattern: str) -> int:
    """Return the index of the first line that matches."""
    found = [index for index, line in enumerate(lines) if re.search(pattern, line)]
    assert found, f"nothing matches {pattern} in\n" + "\n".join(lines)
    return found[0]


def test_picture_directory_and_wal_are_synced_before_the_acknowledgement(
    tmp_path: Path,
) -> None:
    trace = tmp_path / "trace"
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")  # so that no other write is in between
        worker = recorder.worker()
        worker.send(change(1), JPEG)  # creates the folder of the day
        worker.wait(1)
        calls = "trace=fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write"
        with traced(recorder.process.pid, trace, "-e", calls):
            worker.send(change(2), JPEG)
            worker.wait(2)
    lines = [line for line in trace.read_text().splitlines() if "unfinished" not in line]
    name = re.escape(str(change(2).violation.id))
    picture = first(lines, rf"f(data)?sync\(\d+<.*\.{name}-1\.jpg\.tmp>\)")
    renamed = first(lines, rf'rename\w*\(.*{name}-1\.jpg"')
    folder = first(lines, rf"f(data)?sync\(\d+<.*/pictures/{START:%Y-%m-%d}>\)")
    wal = first(lines, r"f(data)?sync\(\d+<.*maskwatch\.db-wal>\)")
    acknowledged = first(lines, r"(sendto|sendmsg|write)\(\d+<.*recorded")
    assert picture < renamed < folder < wal < acknowledged


POINTS = {
    "as the picture is synced": "fsync:signal=KILL:when=1",
    "as the picture is renamed": "rename,renameat,renameat2:signal=KILL:when=1",
    "as the folder is synced": "fsync:signal=KILL:when=2",
    "as the rows are synced": "fdatasync:signal=KILL:when=1",
    "as the acknowledgement is sent": "sendto:signal=KILL:when=1",
}


@pytest.mark.long
@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[pytest.mark.sweep] if number % 2 == 0 else [])
        for number, point in enumerate(POINTS)
    ],
)
def test_a_kill_inside_record_loses_nothing_and_doubles_nothing(tmp_path: Path, point: str) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        worker = recorder.worker()
        worker.send(change(1), JPEG)
        worker.wait(1)
        inject = POINTS[point]
        calls = inject.split(":")[0]
        with traced(
            recorder.process.pid, tmp_path / "trace", "-e", f"trace={calls}", "-e", f"inject={inject}"
        ):
            worker.send(change(2), JPEG)
            assert recorder.process.wait(30) == -9
        worker.receive()
        assert len(worker.acknowledged) == 1
        recorder.restart()
        again = recorder.worker()
        again.send(change(2), JPEG)  # as a worker resends what was not acknowledged
        assert again.wait(1)[0].stored
        wait_until(lambda: change(2).alert_id in recorder.taken)
        assert recorder.stop() == 0
        assert_whole(recorder, [change(1), change(2)])


def assert_whole(recorder: RecorderProcess, changes: list[Change]) -> None:
    """Check that every change is stored once with its picture, and was delivered at least once."""
    with read_session(recorder.data / "maskwatch.db") as session:
        stored = {
            step.change.alert_id: step.picture
            for event in events(session, Filter())
            for step in event_detail(session, event.id).steps
        }
    assert stored.keys() == {item.alert_id for item in changes}
    for picture in stored.values():
        assert picture is not None
        assert (recorder.data / "pictures" / picture).read_bytes() == JPEG
    assert set(recorder.taken) == stored.keys()


class ResendingWorker:
    """Sends changes, and resends to each new recorder what was not acknowledged."""

    def __init__(self, recorder: RecorderProcess, changes: list[Change]) -> None:
        self._recorder = recorder
        self._unacknowledged = {item.alert_id: item for item in changes}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        deadline = time.monotonic() + 150
        while self._unacknowledged and time.monotonic() < deadline:
            try:
                self._session(FakeWorker(self._recorder.socket))
            except OSError:
                time.sleep(0.05)

    def _session(self, worker: FakeWorker) -> None:
        for item in self._unacknowledged.values():
            worker.send(item, JPEG)
        while self._unacknowledged and not worker.channel.ended:
            worker.receive()
            for receipt in worker.acknowledged:
                self._unacknowledged.pop(f"{receipt.violation}:{receipt.number}", None)
            worker.acknowledged.clear()
        worker.close()

    def join(self) -> bool:
        """Wait for the end; return whether everything was acknowledged."""
        self._thread.join(160)
        return not self._unacknowledged


@pytest.mark.long
def test_kills_at_random_instants_lose_nothing_that_was_sent(tmp_path: Path) -> None:
    changes = [change(index, number, closed=number == 3) for index in range(25) for number in (1, 2, 3)]
    chance = random.Random(20260301)
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        worker = ResendingWorker(recorder, changes)
        for _ in range(5):
            time.sleep(chance.uniform(0.02, 0.6))
            recorder.kill()
            recorder.restart()
        assert worker.join()
        wait_until(lambda: set(recorder.taken) == {item.alert_id for item in changes})
        assert recorder.stop() == 0
        assert_whole(recorder, changes)
        seen: dict[str, int] = {}
        for alert in recorder.taken:
            violation, _, number = alert.partition(":")
            assert int(number) >= seen.get(violation, 0), "in order within a violation"
            seen[violation] = int(number)
        # A kill may repeat the alerts in flight: at most the sink's window.
        assert len(recorder.taken) - len(changes) <= 5 * 4
