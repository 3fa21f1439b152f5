"""`maskwatch run`, `status` and `reload` from outside, without starting cameras."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from maskwatch.cli.options import socket_of
from maskwatch.cli.reload import reload
from maskwatch.cli.run import run
from maskwatch.cli.status import status
from maskwatch.domain import CameraState, Incident, IncidentKind, uuid7
from maskwatch.errors import ConfigError, ControlError
from maskwatch.ipc.control import (
    CameraReport,
    ChildReport,
    ReloadDone,
    ReloadRequest,
    StatusReport,
)
from tests.fakes.control_server import FakeControlServer

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def a_report() -> StatusReport:
    worker = ChildReport(phase="running", pid=42, restarts=2)
    incident = Incident(
        uuid7(NOON, bytes(10)), 1, IncidentKind.CAMERA_OFFLINE, "hall", "refused", NOON, None
    )
    return StatusReport(
        version="0.1.0",
        node="office",
        pid=41,
        started=NOON,
        config="/etc/maskwatch/config.yaml",
        ready=True,
        problem="",
        metrics="http://127.0.0.1:9464",
        recorder=ChildReport(phase="running", pid=43, restarts=0),
        cameras=(
            CameraReport(
                name="hall",
                state=CameraState.BACKOFF,
                reason="refused",
                since=NOON,
                frames=0,
                last_frame=None,
                attempt=3,
                worker=worker,
            ),
        ),
        incidents=(incident,),
    )


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_status_shows_why_the_recorder_cannot_store(runtime: Path) -> None:
    recorder = ChildReport(phase="running", pid=43, restarts=0, detail="cannot store now: locked")
    with FakeControlServer(runtime, msgspec.structs.replace(a_report(), recorder=recorder)):
        done = CliRunner().invoke(status, ["--runtime-dir", str(runtime.parent)])
    assert "recorder   running, pid 43 (cannot store now: locked)" in done.output


def test_status_shows_cameras_processes_and_incidents(runtime: Path) -> None:
    with FakeControlServer(runtime, a_report()):
        done = CliRunner().invoke(status, ["--runtime-dir", str(runtime.parent)])
    assert done.exit_code == 0
    assert "office: running since" in done.output
    assert "hall  backoff since" in done.output
    assert "(refused), pid 42, restarted 2 times" in done.output
    assert "camera_offline hall since" in done.output


def test_status_in_json_is_one_object_with_everything(runtime: Path) -> None:
    with FakeControlServer(runtime, a_report()):
        done = CliRunner().invoke(status, ["--runtime-dir", str(runtime.parent), "--json"])
    report = json.loads(done.output)
    assert report["cameras"][0]["state"] == "backoff"
    assert report["incidents"][0]["kind"] == "camera_offline"


def test_reload_prints_what_changed(runtime: Path) -> None:
    with FakeControlServer(runtime, ReloadDone(ok=True, summary="started: hall")) as server:
        done = CliRunner().invoke(reload, ["--runtime-dir", str(runtime.parent), "--no-wait"])
    assert (done.exit_code, done.output) == (0, "started: hall\n")
    assert server.requests == [ReloadRequest(wait=False)]


def test_a_refused_reload_is_a_configuration_error_with_every_problem(runtime: Path) -> None:
    answer = ReloadDone(ok=False, summary="nothing was changed", problems=("c:1:1: a", "c:2:1: b"))
    with FakeControlServer(runtime, answer):
        done = CliRunner().invoke(reload, ["--runtime-dir", str(runtime.parent)])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).splitlines() == ["nothing was changed", "c:1:1: a", "c:2:1: b"]


@pytest.mark.parametrize("verb", [status, reload])
def test_without_a_daemon_both_report_that_none_listens(verb: object, tmp_path: Path) -> None:
    done = CliRunner().invoke(verb, ["--runtime-dir", str(tmp_path)])  # type: ignore[arg-type]  # a command
    assert isinstance(done.exception, ControlError)
    assert "no daemon listens" in str(done.exception)


@pytest.mark.parametrize(
    "text",
    [
        "runtime_dir: {}\ncameras:\n  - {{name: a, url: 'rtsp://h/s'}}\n",
        "runtime_dir: '{}'   # here\ncameras: nonsense\n",
        "runtime_dir: {}\ncameras:\n  - {{name: a, url: 'rtsp://h/s', password: 'credential:none'}}\n",
        "runtime_dir: {}\n[[[",
    ],
)
def test_the_daemon_is_found_by_its_file_even_if_that_is_invalid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text.format(tmp_path / "run"))
    assert socket_of(path, None) == tmp_path / "run" / "control.sock"


def test_a_relative_runtime_directory_starts_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("runtime_dir: run\ncameras: nonsense\n")
    assert socket_of(path, None) == tmp_path / "run" / "control.sock"
    path.write_text("cameras: nonsense\n")
    assert socket_of(path, None) == Path("/run/maskwatch/control.sock")


def test_run_refuses_an_invalid_file_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data_dir: data\nnode: ''\ncameras:\n  - {name: a, url: 5, rate: fast}\n")
    done = CliRunner().invoke(run, ["--config", str(path)])
    assert isinstance(done.exception, ConfigError)
    assert len(done.exception.problems) == 2
    assert not (tmp_path / "data").exists()
