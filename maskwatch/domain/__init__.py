"""The values that all packages share, frozen: no I/O, no clock, no configuration."""

from maskwatch.domain.camera import BlindReason, CameraState, CameraStatus, ReportedState
from maskwatch.domain.detection import Detection
from maskwatch.domain.frame import Frame
from maskwatch.domain.geometry import Box, Point, Polygon
from maskwatch.domain.hours import DailyHours
from maskwatch.domain.ids import IdSource, LiveIds, ReplayIds, uuid7
from maskwatch.domain.incidents import Incident, IncidentKind, OpenIncidents
from maskwatch.domain.occupancy import OccupancyMinute
from maskwatch.domain.sink import SinkStatus
from maskwatch.domain.snooze import Snooze
from maskwatch.domain.verdict import GateReason, MaskLogits, Reading, Verdict
from maskwatch.domain.violation import Change, ChangeKind, CloseReason, Violation

__all__ = [
    "BlindReason",
    "Box",
    "CameraState",
    "CameraStatus",
    "Change",
    "ChangeKind",
    "CloseReason",
    "DailyHours",
    "Detection",
    "Frame",
    "GateReason",
    "IdSource",
    "Incident",
    "IncidentKind",
    "LiveIds",
    "MaskLogits",
    "OccupancyMinute",
    "OpenIncidents",
    "Point",
    "Polygon",
    "Reading",
    "ReplayIds",
    "ReportedState",
    "SinkStatus",
    "Snooze",
    "Verdict",
    "Violation",
    "uuid7",
]
