"""A snapshot on demand: of the next frame, rarely enough, or refused with the reason."""

from __future__ import annotations

import pytest

from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.secrets import SecretUrl
from maskwatch.worker.snapshot_request import SnapshotRequest


def shutter(pictures: Pictures = Pictures.ANONYMIZED) -> SnapshotRequest:
    return SnapshotRequest(CameraConfig(name="door", url=SecretUrl("rtsp://x/1"), pictures=pictures))


def asked(name: str = "1") -> Command:
    return Command(id=name, verb="snapshot", target="door", origin="mqtt")


def why(result: CommandResult | None) -> str:
    assert result is not None
    assert not result.ok
    return result.detail


def test_a_command_waits_for_one_frame() -> None:
    one = shutter()
    assert one.take() is None
    assert one.ask(asked(), CameraState.LIVE, "", 0.0) is None
    assert one.take() == asked()
    assert one.take() is None


@pytest.mark.parametrize("state", [state for state in CameraState if state is not CameraState.LIVE])
def test_a_camera_that_is_not_live_has_no_picture_and_says_why(state: CameraState) -> None:
    detail = why(shutter().ask(asked(), state, "no route", 0.0))
    assert detail == f"door is {state} (no route): there is no picture to take"


def test_a_camera_without_pictures_gives_none() -> None:
    detail = why(shutter(Pictures.NONE).ask(asked(), CameraState.LIVE, "", 0.0))
    assert detail == "door has `pictures: none` in the configuration"


def test_snapshots_are_limited_in_rate() -> None:
    one = shutter()
    assert one.ask(asked("1"), CameraState.LIVE, "", 0.0) is None
    assert "too many" in why(one.ask(asked("2"), CameraState.LIVE, "", 0.1))
    one.take()
    assert "too many" in why(one.ask(asked("3"), CameraState.LIVE, "", 1.9))
    assert one.ask(asked("4"), CameraState.LIVE, "", 2.0) is None


def test_without_a_frame_it_is_given_up() -> None:
    one = shutter()
    one.ask(asked(), CameraState.LIVE, "", 0.0)
    assert one.overdue(4.9) is None
    late = one.overdue(5.0)
    assert late is not None
    assert (late.id, why(late)) == ("1", "no frame came within 5 s")
    assert one.take() is None
    assert one.overdue(9.0) is None
