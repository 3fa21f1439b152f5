"""When the daemon is ready and healthy, and who may use its runtime directory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.domain import CameraState, CameraStatus
from maskwatch.errors import AccessDeniedError, ConfigError, StoreLockedError
from maskwatch.supervisor.readiness import Readiness
from maskwatch.supervisor.runtime_dir import RuntimeDir

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def statuses(*states: CameraState) -> list[CameraStatus]:
    return [CameraStatus(state, "", NOON, f"c{i}") for i, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "recording", "started", "ok", "detail"),
    [
        ((CameraState.LIVE, CameraState.BACKOFF), True, True, True, "1 of 2 cameras live; c1: backoff"),
        ((CameraState.BLIND,), True, True, True, "1 of 1 cameras live"),
        ((CameraState.BACKOFF,), True, True, False, "0 of 1 cameras live; c0: backoff"),
        ((CameraState.DISABLED,), True, True, True, "0 of 0 cameras live"),
        ((CameraState.LIVE,), False, True, False, "1 of 1 cameras live; the recorder does not run"),
        ((CameraState.LIVE,), True, False, False, "1 of 1 cameras live; still starting"),
    ],
)
def test_ready_means_watching_and_recording(
    states: tuple[CameraState, ...], recording: bool, started: bool, ok: bool, detail: str
) -> None:
    readiness = Readiness(ManualClock())
    status = readiness.update(statuses(*states), recorder_runs=recording, all_started=started)
    assert (status.ok, status.detail) == (ok, detail)
    assert readiness.ready() == status


def test_an_overloaded_camera_is_named_and_the_daemon_is_ready() -> None:
    camera = replace(statuses(CameraState.LIVE)[0], overload="19 of 185 frames were analysed")
    status = Readiness(ManualClock()).update([camera], recorder_runs=True, all_started=True)
    assert status.ok
    assert status.detail == "1 of 1 cameras live; c0: overloaded: 19 of 185 frames were analysed"


def test_a_recorder_that_cannot_store_is_not_ready_and_named() -> None:
    readiness = Readiness(ManualClock())
    live = statuses(CameraState.LIVE)
    status = readiness.update(live, recorder_runs=True, all_started=True, store_trouble="locked")
    assert not status.ok
    assert status.detail == "1 of 1 cameras live; the recorder cannot store now: locked"


def test_a_stuck_main_loop_is_neither_healthy_nor_ready() -> None:
    clock = ManualClock()
    readiness = Readiness(clock)
    readiness.update(statuses(CameraState.LIVE), recorder_runs=True, all_started=True)
    clock.advance(9)
    assert readiness.ready().ok
    clock.advance(2)
    assert not readiness.healthy().ok
    assert not readiness.ready().ok
    readiness.main_loop_turned()
    assert readiness.ready().ok


def test_a_runtime_directory_has_one_daemon(tmp_path: Path) -> None:
    first = RuntimeDir(tmp_path / "run")
    with pytest.raises(StoreLockedError, match="another maskwatch daemon"):
        RuntimeDir(tmp_path / "run")
    first.close()
    RuntimeDir(tmp_path / "run").close()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_path_too_long_for_a_socket_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exceeds the"):
        RuntimeDir(tmp_path / ("x" * 120))


def test_a_runtime_directory_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessDeniedError, match="it is a file, expected a directory"):
        RuntimeDir(tmp_path / "file")
