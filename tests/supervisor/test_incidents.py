"""A camera's trouble becomes an incident after a set time, and closes with the trouble."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from maskwatch.config.schema import SupervisionConfig
from maskwatch.domain import CameraState, CameraStatus, Incident, IncidentKind
from maskwatch.supervisor.incidents import CameraHealth, IncidentTracker

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
CONFIG = SupervisionConfig(offline_after=30.0, blind_after=10.0)


class Harness:
    """A camera's states over time, and the incidents that they caused."""

    def __init__(self) -> None:
        self.changes: list[Incident] = []
        self.tracker = IncidentTracker(self.changes.append)
        self.now = 0.0

    def hold(
        self, seconds: float, state: CameraState, *, on_probation: bool = False, missing: str = ""
    ) -> None:
        status = CameraStatus(state, "why", NOON, "hall")
        for _ in range(int(seconds)):
            self.now += 1
            at = NOON + timedelta(seconds=self.now)
            self.tracker.update([CameraHealth(status, on_probation)], CONFIG, self.now, at, missing)

    @property
    def kinds(self) -> list[tuple[IncidentKind, int, bool]]:
        return [(i.kind, i.number, i.ended is not None) for i in self.changes]


def test_a_short_outage_is_not_an_incident() -> None:
    harness = Harness()
    for _ in range(10):
        harness.hold(20, CameraState.BACKOFF)
        harness.hold(5, CameraState.LIVE)
    assert harness.changes == []


def test_a_long_outage_is_one_incident_across_all_states_it_passes() -> None:
    harness = Harness()
    harness.hold(10, CameraState.LIVE)
    for _ in range(30):
        harness.hold(5, CameraState.BACKOFF)
        harness.hold(1, CameraState.CONNECTING)
    harness.hold(5, CameraState.LIVE)
    assert harness.kinds == [
        (IncidentKind.CAMERA_OFFLINE, 1, False),
        (IncidentKind.CAMERA_OFFLINE, 2, True),
    ]
    assert harness.changes[0].id == harness.changes[1].id


def test_what_the_daemon_lacks_for_long_is_one_incident_of_no_camera() -> None:
    harness = Harness()
    for _ in range(3):
        harness.hold(20, CameraState.LIVE, missing="metrics: in use")
        harness.hold(5, CameraState.LIVE)
    assert harness.changes == []
    harness.hold(40, CameraState.LIVE, missing="metrics: in use")
    harness.hold(5, CameraState.LIVE)
    assert harness.kinds == [(IncidentKind.UNAVAILABLE, 1, False), (IncidentKind.UNAVAILABLE, 2, True)]
    assert (harness.changes[0].camera, harness.changes[0].reason) == ("", "metrics: in use")


def test_a_second_outage_is_another_incident() -> None:
    harness = Harness()
    for _ in range(2):
        harness.hold(40, CameraState.STALLED)
        harness.hold(5, CameraState.LIVE)
    assert len({incident.id for incident in harness.changes}) == 2


def test_a_blind_camera_is_not_offline() -> None:
    harness = Harness()
    harness.hold(60, CameraState.BLIND)
    assert harness.kinds == [(IncidentKind.CAMERA_BLIND, 1, False)]


def test_an_overloaded_camera_is_an_incident_in_any_connected_state() -> None:
    changes: list[Incident] = []
    tracker = IncidentTracker(changes.append)
    for state in (CameraState.LIVE, CameraState.BLIND, CameraState.STALLED, CameraState.LIVE):
        status = CameraStatus(state, "why", NOON, "hall", overload="19 of 185 frames were analysed")
        tracker.update([CameraHealth(status, on_probation=False)], CONFIG, 1.0, NOON)
    (opened,) = changes
    assert (opened.kind, opened.reason) == (IncidentKind.OVERLOADED, "19 of 185 frames were analysed")
    status = CameraStatus(CameraState.LIVE, "why", NOON, "hall")
    tracker.update([CameraHealth(status, on_probation=False)], CONFIG, 1.0, NOON)
    assert changes[-1].ended is not None


def test_quarantine_is_an_incident_immediately_and_instead_of_offline() -> None:
    harness = Harness()
    harness.hold(1, CameraState.QUARANTINED, on_probation=True)
    harness.hold(100, CameraState.BACKOFF, on_probation=True)
    assert harness.kinds == [(IncidentKind.QUARANTINE, 1, False)]


def test_a_camera_that_is_disabled_or_removed_has_no_incident() -> None:
    harness = Harness()
    harness.hold(40, CameraState.BACKOFF)
    harness.hold(100, CameraState.DISABLED)
    assert harness.kinds[-1] == (IncidentKind.CAMERA_OFFLINE, 2, True)
    harness.hold(40, CameraState.BACKOFF)
    harness.tracker.update([], CONFIG, harness.now + 1, NOON)
    assert harness.changes[-1].ended is not None
    assert harness.tracker.open == ()


def test_a_new_recorder_is_given_open_and_recently_closed_incidents() -> None:
    harness = Harness()
    harness.hold(40, CameraState.BACKOFF)
    harness.hold(5, CameraState.LIVE)
    harness.hold(40, CameraState.BACKOFF)
    before = list(harness.changes)
    assert list(harness.tracker.recent) == before


def test_a_worker_that_misbehaved_is_an_incident_with_what_it_did() -> None:
    changes: list[Incident] = []
    tracker = IncidentTracker(changes.append)
    status = CameraStatus(CameraState.LIVE, "", NOON, "hall")
    for misbehaviour in ("violated the protocol (x)", ""):
        tracker.update([CameraHealth(status, False, misbehaviour)], CONFIG, 1.0, NOON)
    opened, closed = changes
    assert (opened.kind, opened.reason) == (
        IncidentKind.WORKER_MISBEHAVED,
        "its process violated the protocol (x)",
    )
    assert closed.ended is not None
