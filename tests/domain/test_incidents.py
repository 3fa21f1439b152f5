"""An incident opens once, closes once, and keeps its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from maskwatch.domain import Incident, IncidentKind, OpenIncidents

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_an_incident_opens_once_and_closes_once_with_the_next_number() -> None:
    changes: list[Incident] = []
    incidents = OpenIncidents(changes.append)
    for _ in range(2):
        incidents.open(IncidentKind.CAMERA_BLIND, "hall", "covered", NOON)
    assert incidents.all == tuple(changes)
    for _ in range(2):
        incidents.close(IncidentKind.CAMERA_BLIND, "hall", NOON + timedelta(seconds=9))
    assert incidents.all == ()
    assert [(each.number, each.ended) for each in changes] == [
        (1, None),
        (2, NOON + timedelta(seconds=9)),
    ]
    assert changes[0].id == changes[1].id


def test_cameras_and_kinds_have_incidents_of_their_own() -> None:
    changes: list[Incident] = []
    incidents = OpenIncidents(changes.append)
    incidents.open(IncidentKind.CAMERA_BLIND, "hall", "covered", NOON)
    incidents.open(IncidentKind.CAMERA_BLIND, "yard", "covered", NOON)
    incidents.open(IncidentKind.CAMERA_OFFLINE, "hall", "refused", NOON)
    incidents.close(IncidentKind.CAMERA_BLIND, "hall", NOON)
    assert [(each.kind, each.camera) for each in incidents.all] == [
        (IncidentKind.CAMERA_BLIND, "yard"),
        (IncidentKind.CAMERA_OFFLINE, "hall"),
    ]
    assert len({each.id for each in changes}) == 3


def test_an_incident_of_an_earlier_process_is_closed_and_not_opened_again() -> None:
    opened: list[Incident] = []
    OpenIncidents(opened.append).open(IncidentKind.DISK, "", "full", NOON)
    changes: list[Incident] = []
    successor = OpenIncidents(changes.append, opened)
    successor.open(IncidentKind.DISK, "", "full", NOON)
    assert changes == []
    successor.close(IncidentKind.DISK, "", NOON)
    assert [(each.id, each.number) for each in changes] == [(opened[0].id, 2)]
