"""The recorder as a process, from the first message to the last."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.recorder_process import RecorderProcess
from tests.fakes.samples import JPEG, change
from tests.fakes.waiting import wait_until


def test_a_change_is_acknowledged_stored_and_delivered(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        worker = recorder.worker()
        worker.send(change(1), JPEG)
        worker.send(change(1, 2, closed=True))
        first, second = worker.wait(2)
        assert (first.number, first.stored, second.number) == (1, True, 2)
        wait_until(lambda: len(recorder.taken) == 2)
        assert recorder.taken == [change(1).alert_id, change(1, 2).alert_id]
        assert recorder.stop() == 0
        assert not recorder.socket.exists()


def test_what_was_acknowledged_before_a_kill_is_delivered_after_it(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        recorder.set_behaviour("away")
        worker = recorder.worker()
        for index in range(5):
            worker.send(change(index, closed=True))
        worker.wait(5)
        recorder.kill()
        recorder.set_behaviour("accept")
        recorder.restart()
        wait_until(lambda: len(recorder.taken) == 5)
        assert recorder.taken == [change(index).alert_id for index in range(5)]
