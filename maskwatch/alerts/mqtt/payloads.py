"""The JSON payloads, in one table; `tools.reference` generates docs/schemas from it.

Every payload carries `version`; a field may be added within a version, but none removed or
changed. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from maskwatch.domain import CameraState, ChangeKind, CloseReason, IncidentKind, Verdict

VERSION = 1

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Node = Annotated[str, Meta(description="Name of the node.")]
Camera = Annotated[str, Meta(description="Name of the camera; empty for the node itself.")]
Version = Annotated[int, Meta(description="Version of the payload.", ge=1)]
Time = Annotated[datetime, Meta(tz=True)]


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object."""


class _CameraPayload(_Payload, frozen=True, kw_only=True):
    version: Version
    node: Node
    camera: Camera


class BoxPayload(_Payload, frozen=True, kw_only=True):
    """A rectangle relative to the picture: 0 is left or top, 1 right or bottom."""

    x1: float
    y1: float
    x2: float
    y2: float


class PicturePayload(_Payload, frozen=True, kw_only=True):
    """The anonymized JPEG of an alert.

    `topic` is where it was published just before the alert, null if it was not; `sha256`
    identifies it among the pictures of that topic.
    """

    path: Annotated[str, Meta(description="File on the node.")]
    topic: str | None
    sha256: Annotated[str | None, Meta(description="Of the published bytes.")]


class OwnerPayload(_Payload, frozen=True, kw_only=True):
    """Which daemon publishes under this node."""

    version: Version
    node: Node
    host: Annotated[str, Meta(max_length=255, description="Name of the daemon's machine.")]
    instance: Annotated[str, Meta(max_length=64, description="Random id of this run.")]
    running: Annotated[bool, Meta(description="False after an orderly end.")]


class CameraStatePayload(_CameraPayload, frozen=True, kw_only=True):
    """A camera's state, its reason, and since when it lasts."""

    state: CameraState
    reason: str
    since: Time


class SnoozePayload(_CameraPayload, frozen=True, kw_only=True):
    """Until when no alerts are sent of a camera's new violations; nulls and 0: it is not snoozed."""

    since: Time | None
    until: Time | None
    seconds: Annotated[float, Meta(ge=0, description="From `since` to `until`.")]


class ViolationPayload(_CameraPayload, frozen=True, kw_only=True):
    """One change of one violation. Ignore an `alert_id` that you have seen."""

    id: Annotated[UUID, Meta(description="The violation.")]
    alert_id: Annotated[str, Meta(description="This change: id, colon, number.")]
    number: Annotated[int, Meta(ge=1, description="Counts the changes of this violation.")]
    change: ChangeKind
    at: Annotated[Time, Meta(description="Capture time of the frame that caused the change.")]
    zone: Annotated[str, Meta(description="The zone that requires a mask; empty: the whole picture.")]
    zones: Annotated[tuple[str, ...], Meta(description="The zones passed through, in order.")]
    first_seen: Time
    started: Annotated[Time, Meta(description="When the violation was decided.")]
    ended: Time | None
    close_reason: CloseReason | None
    verdict: Verdict
    confidence: Annotated[Share, Meta(description="Probability that the verdict is right.")]
    evidence: Annotated[float, Meta(description="Accumulated log-likelihood ratio, in nats.")]
    readings: Annotated[Count, Meta(description="Classified pictures of the face that voted.")]
    face_height: Annotated[float, Meta(description="Pixels of the camera's full picture.")]
    box: BoxPayload
    model: Annotated[str, Meta(description="Id of the mask model.")]
    stored: Annotated[
        bool, Meta(description="False when the disk was full and this alert is not in the database.")
    ]
    picture: PicturePayload | None


class OpenViolation(_Payload, frozen=True, kw_only=True):
    """A violation that is open now."""

    id: UUID
    number: Annotated[int, Meta(ge=1)]
    zone: str
    verdict: Verdict
    confidence: Share
    started: Time
    silent: Annotated[
        bool, Meta(description="No alert is sent of it: its camera was snoozed when it opened.")
    ]


class OpenViolationsPayload(_CameraPayload, frozen=True, kw_only=True):
    """All violations of a camera that are open now, oldest first."""

    count: Count
    silent: Annotated[Count, Meta(description="How many of them no alert is sent of.")]
    violations: tuple[OpenViolation, ...]


class IncidentPayload(_CameraPayload, frozen=True, kw_only=True):
    """One change of one incident. Ignore an `alert_id` that you have seen."""

    id: UUID
    alert_id: str
    number: Annotated[int, Meta(ge=1)]
    change: ChangeKind
    kind: IncidentKind
    reason: str
    started: Time
    ended: Time | None
    stored: bool


class OpenIncident(_Payload, frozen=True, kw_only=True):
    """An incident that is open now."""

    id: UUID
    kind: IncidentKind
    reason: str
    started: Time


class OpenIncidentsPayload(_CameraPayload, frozen=True, kw_only=True):
    """All incidents of a camera, or of the node itself, that are open now, oldest first."""

    count: Count
    incidents: tuple[OpenIncident, ...]


class OccupancyPayload(_CameraPayload, frozen=True, kw_only=True):
    """People counted in one minute; each person counts once per minute and zone."""

    zone: Annotated[str, Meta(description="Empty: the whole picture.")]
    minute: Annotated[Time, Meta(description="Start of the minute.")]
    seen: Count
    judged: Count
    masked: Count
    unmasked: Count
    incorrect: Count
    unknown: Count
    peak: Annotated[Count, Meta(description="Most people in view at the same time.")]
    compliance: Annotated[
        Share | None, Meta(description="Masked of judged people; null when none was judged.")
    ]


class CommandPayload(_Payload, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message of a command; an empty message means all defaults."""

    id: Annotated[
        str,
        Meta(
            max_length=64,
            description="Returned in the result; a command with an id seen before is not run again.",
        ),
    ] = ""
    seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="How long to disable (0: until further) or snooze (a day at most; 0 ends it).",
        ),
    ] = 0.0
    target: Annotated[str, Meta(max_length=64, description="The violation to acknowledge.")] = ""
    on: Annotated[
        bool, Meta(description="With `enable`: false disables, for switches that have one topic only.")
    ] = True


class CommandResultPayload(_Payload, frozen=True, kw_only=True):
    """How a command ended."""

    version: Version
    node: Node
    id: str
    verb: str
    target: str
    ok: bool
    detail: Annotated[str, Meta(description="Text for people; the reason, if it failed.")]


# Name of the schema -> its payload.
PAYLOADS: dict[str, type[_Payload]] = {
    "owner": OwnerPayload,
    "camera-state": CameraStatePayload,
    "snooze": SnoozePayload,
    "violation": ViolationPayload,
    "open-violations": OpenViolationsPayload,
    "incident": IncidentPayload,
    "open-incidents": OpenIncidentsPayload,
    "occupancy": OccupancyPayload,
    "command": CommandPayload,
    "command-result": CommandResultPayload,
}


def encode(payload: _Payload) -> bytes:
    return msgspec.json.encode(payload)


def schemas() -> dict[str, bytes]:
    """Return the JSON Schema (2020-12) of each payload, as stored in docs/schemas."""
    return {name: _schema(name, kind) for name, kind in PAYLOADS.items()}


def _schema(name: str, kind: type[_Payload]) -> bytes:
    (reference,), components = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:maskwatch:mqtt:{name}:{VERSION}",
        **reference,
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
