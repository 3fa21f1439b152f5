"""Builds MQTT messages: values of the domain in, topic and payload out. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from maskwatch.alerts.mqtt import payloads
from maskwatch.alerts.mqtt.payloads import (
    VERSION,
    CommandResultPayload,
    OwnerPayload,
    PicturePayload,
)
from maskwatch.alerts.mqtt.topics import Message, Topic, Topics
from maskwatch.alerts.sink import CameraSnapshot, StateSnapshot
from maskwatch.domain import CameraStatus, Change, ChangeKind, Incident, OccupancyMinute, Snooze

ONLINE = b"online"
OFFLINE = b"offline"


@dataclass(frozen=True, slots=True)
class MessageBuilder:
    """Builds the messages of one node."""

    topics: Topics
    node: str

    def availability(self, payload: bytes) -> Message:
        return self.message(Topic.STATUS, payload)

    def owner(self, payload: OwnerPayload) -> Message:
        return self.message(Topic.OWNER, payloads.encode(payload))

    def camera_state(self, status: CameraStatus) -> Message:
        payload = payloads.CameraStatePayload(
            version=VERSION,
            node=self.node,
            camera=status.camera,
            state=status.state,
            reason=status.reason,
            since=_utc(status.since),
        )
        return self.message(Topic.CAMERA_STATE, payloads.encode(payload), status.camera)

    def snooze(self, snooze: Snooze) -> Message:
        payload = payloads.SnoozePayload(
            version=VERSION,
            node=self.node,
            camera=snooze.camera,
            since=snooze.since,
            until=snooze.until,
            seconds=snooze.seconds,
        )
        return self.message(Topic.SNOOZE, payloads.encode(payload), snooze.camera)

    def snapshot(self, snapshot: CameraSnapshot, expiry: float) -> Message:
        """Return the message of a requested picture that expires in `expiry` seconds."""
        message = self.message(Topic.SNAPSHOT, snapshot.jpeg, snapshot.camera)
        return replace(message, expiry=max(1, round(expiry)))

    def occupancy(self, minute: OccupancyMinute) -> Message:
        payload = payloads.OccupancyPayload(
            version=VERSION,
            node=self.node,
            camera=minute.camera,
            zone=minute.zone,
            minute=_utc(minute.minute),
            seen=minute.seen,
            judged=minute.judged,
            masked=minute.masked,
            unmasked=minute.unmasked,
            incorrect=minute.incorrect,
            unknown=minute.unknown,
            peak=minute.peak,
            compliance=minute.masked / minute.judged if minute.judged else None,
        )
        topic = Topic.ZONE_OCCUPANCY if minute.zone else Topic.OCCUPANCY
        return self.message(topic, payloads.encode(payload), minute.camera, minute.zone)

    def violation(self, change: Change, *, stored: bool, picture: PicturePayload | None) -> Message:
        state = change.violation
        box = state.box
        payload = payloads.ViolationPayload(
            version=VERSION,
            node=self.node,
            camera=state.camera,
            id=state.id,
            alert_id=change.alert_id,
            number=change.number,
            change=change.kind,
            at=_utc(change.at),
            zone=state.zone,
            zones=state.zones,
            first_seen=_utc(state.first_seen),
            started=_utc(state.started),
            ended=None if state.ended is None else _utc(state.ended),
            close_reason=state.close_reason,
            verdict=state.verdict,
            confidence=_clip_share(state.confidence),
            evidence=state.evidence,
            readings=state.readings,
            face_height=state.face_height,
            box=payloads.BoxPayload(x1=box.x1, y1=box.y1, x2=box.x2, y2=box.y2),
            model=state.model,
            stored=stored,
            picture=picture,
        )
        return self.message(Topic.VIOLATION, payloads.encode(payload), state.camera)

    def picture(self, change: Change, jpeg: bytes) -> Message:
        message = self.message(Topic.PICTURE, jpeg, change.violation.camera)
        return replace(message, correlation=change.alert_id.encode())

    def incident(self, incident: Incident, *, stored: bool) -> Message:
        change = ChangeKind.OPENED if incident.number == 1 else ChangeKind.UPDATED
        payload = payloads.IncidentPayload(
            version=VERSION,
            node=self.node,
            camera=incident.camera,
            id=incident.id,
            alert_id=f"{incident.id}:{incident.number}",
            number=incident.number,
            change=change if incident.ended is None else ChangeKind.CLOSED,
            kind=incident.kind,
            reason=incident.reason,
            started=_utc(incident.started),
            ended=None if incident.ended is None else _utc(incident.ended),
            stored=stored,
        )
        topic = Topic.INCIDENT if incident.camera else Topic.NODE_INCIDENT
        return self.message(topic, payloads.encode(payload), incident.camera)

    def command_result(self, result: CommandResultPayload, correlation: bytes) -> Message:
        message = self.message(Topic.COMMAND_RESULT, payloads.encode(result))
        return replace(message, correlation=correlation)

    def open_now(self, state: StateSnapshot, cameras: Iterable[str]) -> list[Message]:
        """Return the lists of open violations and incidents of each camera, `cameras` at least."""
        violations: dict[str, list[Change]] = {name: [] for name in cameras}
        for status in state.cameras:
            violations.setdefault(status.camera, [])
        for change in state.open_violations:
            violations.setdefault(change.violation.camera, []).append(change)
        incidents: dict[str, list[Incident]] = {"": [], **{name: [] for name in violations}}
        for incident in state.open_incidents:
            incidents.setdefault(incident.camera, []).append(incident)
        silenced = state.silenced
        lists = [self._open_violations(name, rows, silenced) for name, rows in violations.items()]
        return lists + [self._open_incidents(name, rows) for name, rows in incidents.items()]

    def _open_violations(
        self, camera: str, changes: list[Change], silenced: Collection[UUID]
    ) -> Message:
        rows = sorted(changes, key=lambda row: (row.violation.started, row.violation.id))
        payload = payloads.OpenViolationsPayload(
            version=VERSION,
            node=self.node,
            camera=camera,
            count=len(rows),
            silent=sum(row.violation.id in silenced for row in rows),
            violations=tuple(
                payloads.OpenViolation(
                    id=row.violation.id,
                    number=row.number,
                    zone=row.violation.zone,
                    verdict=row.violation.verdict,
                    confidence=_clip_share(row.violation.confidence),
                    started=_utc(row.violation.started),
                    silent=row.violation.id in silenced,
                )
                for row in rows
            ),
        )
        return self.message(Topic.OPEN_VIOLATIONS, payloads.encode(payload), camera)

    def _open_incidents(self, camera: str, incidents: list[Incident]) -> Message:
        rows = sorted(incidents, key=lambda row: (row.started, row.id))
        payload = payloads.OpenIncidentsPayload(
            version=VERSION,
            node=self.node,
            camera=camera,
            count=len(rows),
            incidents=tuple(
                payloads.OpenIncident(
                    id=row.id, kind=row.kind, reason=row.reason, started=_utc(row.started)
                )
                for row in rows
            ),
        )
        topic = Topic.OPEN_INCIDENTS if camera else Topic.NODE_OPEN_INCIDENTS
        return self.message(topic, payloads.encode(payload), camera)

    def message(self, topic: Topic, payload: bytes, camera: str = "", zone: str = "") -> Message:
        spec = topic.value
        return Message(
            self.topics.of(topic, camera=camera, zone=zone),
            payload,
            retain=spec.retained,
            content=spec.content,
            expiry=spec.expiry,
        )


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _clip_share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
