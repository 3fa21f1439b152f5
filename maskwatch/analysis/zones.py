"""Which zone of the picture a face is in, and which rule applies there now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from maskwatch.analysis.schedule import WeeklySchedule
from maskwatch.config.schema import CameraConfig, ZoneConfig, ZoneRule
from maskwatch.domain import Point, Polygon


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of the configuration; corners relative (0 to 1), dwell in seconds."""

    name: str
    outline: Polygon
    rule: ZoneRule
    schedule: WeeklySchedule
    dwell: float


@dataclass(frozen=True, slots=True)
class ZoneState:
    """The zone at one point and time.

    Attributes:
        name: "" outside all zones.
        rule: the rule now.
        dwell: seconds.
        off_hours: whether a mask is required here at other hours.
    """

    name: str
    rule: ZoneRule
    dwell: float = 0.0
    off_hours: bool = False


# Where zones overlap, the least demanding rule wins: a small ignored zone drawn over a large one is
# meant as a hole in it.
_PRECEDENCE = (ZoneRule.PRIVATE, ZoneRule.IGNORED, ZoneRule.REQUIRED, ZoneRule.COUNTED)
_NOT_ANALYSED = (ZoneRule.IGNORED, ZoneRule.PRIVATE)


class ZoneMap:
    """The zones of one camera.

    A face belongs to the zone that contains its centre. Outside all zones a mask is required,
    unless a zone requires one: then people outside are only counted. Outside the hours of the zone
    or of the camera, `required` becomes `counted`.
    """

    def __init__(self, camera: CameraConfig) -> None:
        zones = [_zone(config, camera.time_zone) for config in camera.zones]
        self.zones = tuple(sorted(zones, key=lambda zone: _PRECEDENCE.index(zone.rule)))
        self._schedule = WeeklySchedule(camera.schedule, camera.time_zone)
        required_somewhere = any(zone.rule is ZoneRule.REQUIRED for zone in zones)
        self._outside = ZoneRule.COUNTED if required_somewhere else ZoneRule.REQUIRED

    def state_at(self, point: Point, at: datetime) -> ZoneState:
        """Return the zone at a point (relative, 0 to 1) and its rule at that time (aware)."""
        for zone in self.zones:
            if zone.outline.contains(point):
                holds = self._schedule.holds(at) and zone.schedule.holds(at)
                return _state(zone.name, zone.rule, zone.dwell, holds=holds)
        return _state("", self._outside, 0.0, holds=self._schedule.holds(at))

    def analysed(self, point: Point) -> bool:
        """Return whether faces at a point (relative) are analysed: no ignored or private zone."""
        return not any(
            zone.rule in _NOT_ANALYSED and zone.outline.contains(point) for zone in self.zones
        )

    @property
    def private(self) -> tuple[Polygon, ...]:
        """Outlines of what is blackened in every picture."""
        return tuple(zone.outline for zone in self.zones if zone.rule is ZoneRule.PRIVATE)


def _state(name: str, rule: ZoneRule, dwell: float, *, holds: bool) -> ZoneState:
    """Return the state for a configured rule; `holds` says whether the schedules hold now."""
    off_hours = rule is ZoneRule.REQUIRED and not holds
    return ZoneState(name, ZoneRule.COUNTED if off_hours else rule, dwell, off_hours)


def _zone(config: ZoneConfig, time_zone: str) -> Zone:
    outline = Polygon(tuple(Point(x, y) for x, y in config.polygon))
    schedule = WeeklySchedule(config.schedule, time_zone)
    return Zone(config.name, outline, config.rule, schedule, config.dwell)
