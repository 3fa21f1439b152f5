"""A snapshot on request: of the next frame, limited in rate, or refused with the reason."""

from __future__ import annotations

import pytest

from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.secrets import SecretUrl
from maskwatch.worker.snapshot_request import SnapshotRequest


def snapshot_request(pictures: Pictures = Pictures.ANONYMIZED) -> SnapshotRequest:
    return SnapshotRequest(CameraConfig(name="door", url=SecretUrl("rtsp://x/1"), pictures=pictures))


def command(name: str = "1") -> Command:
    return Command(id=name, verb="snapshot", target="door", origin="mqtt")


def refusal_of(result: CommandResult | None) -> str:
    assert result is not None
    assert not result.ok
    return result.detail


def test_a_command_waits_for_one_frame() -> None:
    requests = snapshot_request()
    assert requests.take() is None
    assert requests.request(command(), CameraState.LIVE, "", 0.0) is None
    assert requests.take() == command()
    assert requests.take() is None


@pytest.mark.parametrize("state", [state for state in CameraState if state is not CameraState.LIVE])
def test_a_camera_that_is_not_live_refuses_with_its_state(state: CameraState) -> None:
    detail = refusal_of(snapshot_request().request(command(), state, "no route", 0.0))
    assert detail == f"door is {state} (no route): there is no picture to take"


def test_a_camera_without_pictures_refuses() -> None:
    detail = refusal_of(snapshot_request(Pictures.NONE).request(command(), CameraState.LIVE, "", 0.0))
    assert detail == "door has `pictures: none` in the configuration"


def test_snapshots_are_limited_in_rate() -> None:
    requests = snapshot_request()
    assert requests.request(command("1"), CameraState.LIVE, "", 0.0) is None
    assert "too many" in refusal_of(requests.request(command("2"), CameraState.LIVE, "", 0.1))
    requests.take()
    assert "too many" in refusal_of(requests.request(command("3"), CameraState.LIVE, "", 1.9))
    assert requests.request(command("4"), CameraState.LIVE, "", 2.0) is None


def test_without_a_frame_the_request_expires() -> None:
    requests = snapshot_request()
    requests.request(command(), CameraState.LIVE, "", 0.0)
    assert requests.expire(4.9) is None
    late = requests.expire(5.0)
    assert late is not None
    assert (late.id, refusal_of(late)) == ("1", "no frame came within 5 s")
    assert requests.take() is None
    assert requests.expire(9.0) is None
