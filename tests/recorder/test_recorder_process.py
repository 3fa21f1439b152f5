"""The recorder as a process, from the first message to the last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maskwatch.ipc.messages import WorkerMisbehaved
from tests.fakes.hostile_json import HOSTILE_JSON, hostile_json
from tests.fakes.hostile_peers import JSON_PEERS, PEERS, connected, frame
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


def test_no_peer_ends_the_recorder_or_delays_a_worker(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        worker = recorder.worker()
        for number, (name, peer) in enumerate(PEERS.items(), 1):
            with connected(peer, recorder.socket):
                worker.send(change(number))
                worker.wait(number)
            assert recorder.process.poll() is None, name
        assert recorder.stop() == 0


@pytest.mark.parametrize("kind", ["arrays", "nested_in_an_unknown_field"])
def test_a_peer_that_sends_hostile_json_is_reported(tmp_path: Path, kind: str) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        with connected(JSON_PEERS[f"{kind} as worker_hello"], recorder.socket):
            report = recorder.await_message(WorkerMisbehaved)
        assert isinstance(report, WorkerMisbehaved)
        assert report.pid == os.getpid()
        assert "invalid message" in report.reason


def test_after_a_greeting_hostile_json_is_reported_too(tmp_path: Path) -> None:
    with RecorderProcess(tmp_path / "r").ready() as recorder:
        for kind in HOSTILE_JSON:
            worker = recorder.worker()
            worker.channel.socket.setblocking(True)
            worker.channel.socket.sendall(frame(hostile_json(kind, "record")))
            recorder.await_message(WorkerMisbehaved)
        assert recorder.stop() == 0
