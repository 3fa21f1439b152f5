"""Finds retained topics of cameras, zones and entities that are no longer configured."""

from __future__ import annotations

from maskwatch.alerts.mqtt.home_assistant import HomeAssistant
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.config.schema import CameraConfig

_CAMERA_TOPICS = (
    Topic.CAMERA_STATE,
    Topic.SNOOZE,
    Topic.SNAPSHOT,
    Topic.OPEN_VIOLATIONS,
    Topic.OPEN_INCIDENTS,
    Topic.OCCUPANCY,
    Topic.ZONE_OCCUPANCY,
)


class StaleTopics:
    """Decides which retained topics of this node are to be cleared."""

    def __init__(
        self, topics: Topics, cameras: tuple[CameraConfig, ...], home: HomeAssistant | None
    ) -> None:
        self._topics = topics
        self._zones = {camera.name: {zone.name for zone in camera.zones} for camera in cameras}
        self._home = home

    @property
    def filters(self) -> list[str]:
        filters = [self._topics.filter(topic) for topic in _CAMERA_TOPICS]
        return [*filters, self._home.filter] if self._home is not None else filters

    def is_stale(self, topic: str) -> bool:
        """Return whether to clear a retained topic that this session has not published.

        A snapshot of an earlier run is stale: its age is not known.
        """
        if self._topics.parse(Topic.SNAPSHOT, topic) is not None:
            return True
        if self._home is not None and self._home.owns(topic):
            return True
        parsed = (self._topics.parse(kind, topic) for kind in _CAMERA_TOPICS)
        return any(names is not None and not self._is_configured(names) for names in parsed)

    def is_in_use(self, topic: str) -> bool:
        """Return whether this configuration publishes to a topic that an earlier one published to."""
        if self._home is not None and topic in self._home.topics:
            return True
        retained = (kind for kind in Topic if kind.value.retained)
        parsed = (self._topics.parse(kind, topic) for kind in retained)
        return any(
            names is not None and ("camera" not in names or self._is_configured(names))
            for names in parsed
        )

    def _is_configured(self, names: dict[str, str]) -> bool:
        zones = self._zones.get(names["camera"])
        return zones is not None and ("zone" not in names or names["zone"] in zones)
