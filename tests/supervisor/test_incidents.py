"""Trouble is told once, after a set time, and so is its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from maskwatch.config.schema import SupervisionConfig
from maskwatch.domain import CameraState, CameraStatus, Incident, IncidentKind
from maskwatch.supervisor.incidents import CameraHealth, IncidentTracker

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
CONFIG = SupervisionConfig(offline_after=30.0, blind_after=10.0)


class Story:
    """A camera's states over time, and what was told of them."""

    def __init__(self) -> None:
        self.changes: list[Incident] = []
        self.tracker = IncidentTracker(self.changes.append)
        self.now = 0.0

    def lasts(self, seconds: float, state: CameraState, *, on_probation: bool = False) -> None:
        status = CameraStatus("hall", state, "why", NOON)
        for _ in range(int(seconds)):
            self.now += 1
            at = NOON + timedelta(seconds=self.now)
            self.tracker.update([CameraHealth(status, on_probation)], CONFIG, self.now, at)

    @property
    def kinds(self) -> list[tuple[IncidentKind, int, bool]]:
        return [(i.kind, i.number, i.ended is not None) for i in self.changes]


def test_a_short_outage_is_nobody_s_business() -> None:
    story = Story()
    for _ in range(10):
        story.lasts(20, CameraState.BACKOFF)
        story.lasts(5, CameraState.LIVE)
    assert story.changes == []


def test_a_long_outage_is_told_once_whatever_states_it_goes_through_and_so_is_its_end() -> None:
    story = Story()
    story.lasts(10, CameraState.LIVE)
    for _ in range(30):
        story.lasts(5, CameraState.BACKOFF)
        story.lasts(1, CameraState.CONNECTING)
    story.lasts(5, CameraState.LIVE)
    assert story.kinds == [
        (IncidentKind.CAMERA_OFFLINE, 1, False),
        (IncidentKind.CAMERA_OFFLINE, 2, True),
    ]
    assert story.changes[0].id == story.changes[1].id


def test_a_second_outage_is_another_incident() -> None:
    story = Story()
    for _ in range(2):
        story.lasts(40, CameraState.STALLED)
        story.lasts(5, CameraState.LIVE)
    assert len({incident.id for incident in story.changes}) == 2


def test_a_blind_camera_is_not_offline() -> None:
    story = Story()
    story.lasts(60, CameraState.BLIND)
    assert story.kinds == [(IncidentKind.CAMERA_BLIND, 1, False)]


def test_quarantine_is_told_at_once_and_instead_of_offline() -> None:
    story = Story()
    story.lasts(1, CameraState.QUARANTINED, on_probation=True)
    story.lasts(100, CameraState.BACKOFF, on_probation=True)
    assert story.kinds == [(IncidentKind.QUARANTINE, 1, False)]


def test_a_camera_that_is_switched_off_or_removed_is_no_trouble() -> None:
    story = Story()
    story.lasts(40, CameraState.BACKOFF)
    story.lasts(100, CameraState.DISABLED)
    assert story.kinds[-1] == (IncidentKind.CAMERA_OFFLINE, 2, True)
    story.lasts(40, CameraState.BACKOFF)
    story.tracker.update([], CONFIG, story.now + 1, NOON)
    assert story.changes[-1].ended is not None
    assert story.tracker.open == ()


def test_a_new_recorder_is_told_what_is_open_and_what_has_ended() -> None:
    story = Story()
    story.lasts(40, CameraState.BACKOFF)
    story.lasts(5, CameraState.LIVE)
    story.lasts(40, CameraState.BACKOFF)
    before = list(story.changes)
    again = story.tracker.recent
    assert {(i.id, i.number) for i in again} == {(before[1].id, 2), (before[2].id, 1)}
