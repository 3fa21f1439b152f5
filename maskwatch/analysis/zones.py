"""Which part of the picture a face is in, and what is asked for there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from maskwatch.analysis.schedule import WeeklySchedule
from maskwatch.config.schema import CameraConfig, ZoneConfig, ZoneRule
from maskwatch.domain import Point, Polygon

__all__ = ["Place", "Zone", "ZoneMap"]


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of the configuration; corners relative (0 to 1)."""

    name: str
    outline: Polygon
    rule: ZoneRule
    timetable: WeeklySchedule
    dwell: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face is: the zone's name ("" outside all zones), what holds there now, the dwell."""

    zone: str
    rule: ZoneRule
    dwell: float = 0.0


# Where zones overlap, what asks for less attention wins: whoever draws a small ignored zone over
# a large one means the hole.
_ORDER = (ZoneRule.PRIVATE, ZoneRule.IGNORED, ZoneRule.REQUIRED, ZoneRule.COUNTED)


class ZoneMap:
    """The zones of one camera.

    A face belongs to the zone that its middle is in. Outside all zones a mask is required, unless
    the configuration says where it is: then people elsewhere are counted only. Out of a zone's
    hours, and out of the camera's, `required` becomes `counted`.
    """

    def __init__(self, camera: CameraConfig) -> None:
        zones = [_zone(config, camera.time_zone) for config in camera.zones]
        self.zones = tuple(sorted(zones, key=lambda zone: _ORDER.index(zone.rule)))
        self._hours = WeeklySchedule(camera.schedule, camera.time_zone)
        chosen = any(zone.rule is ZoneRule.REQUIRED for zone in zones)
        self._elsewhere = ZoneRule.COUNTED if chosen else ZoneRule.REQUIRED

    def place(self, middle: Point, at: datetime) -> Place:
        """Return where the point (relative, 0 to 1) is, and what is asked for there `at` (aware)."""
        for zone in self.zones:
            if zone.outline.contains(middle):
                return Place(zone.name, self._now(zone, at), zone.dwell)
        rule = self._elsewhere
        if rule is ZoneRule.REQUIRED and not self._hours.holds(at):
            rule = ZoneRule.COUNTED
        return Place("", rule)

    def looked_at(self, middle: Point) -> bool:
        """Return whether a face there is looked at: it lies in no ignored or private zone."""
        hidden = (ZoneRule.IGNORED, ZoneRule.PRIVATE)
        return not any(zone.rule in hidden and zone.outline.contains(middle) for zone in self.zones)

    @property
    def private(self) -> tuple[Polygon, ...]:
        """Outlines of what is blackened in every picture."""
        return tuple(zone.outline for zone in self.zones if zone.rule is ZoneRule.PRIVATE)

    def _now(self, zone: Zone, at: datetime) -> ZoneRule:
        if zone.rule is not ZoneRule.REQUIRED:
            return zone.rule
        holds = self._hours.holds(at) and zone.timetable.holds(at)
        return ZoneRule.REQUIRED if holds else ZoneRule.COUNTED


def _zone(config: ZoneConfig, time_zone: str) -> Zone:
    outline = Polygon(tuple(Point(x, y) for x, y in config.polygon))
    timetable = WeeklySchedule(config.schedule, time_zone)
    return Zone(config.name, outline, config.rule, timetable, config.dwell)
