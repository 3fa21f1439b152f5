"""A configuration that names files which are not available yet: what of it can run meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from maskwatch.config.diagnostics import KeyPath, key_text
from maskwatch.config.schema import Config

MQTT_SINK = "mqtt"


def people_sink(channel: str) -> str:
    """Return the name of the sink of a channel of `people`."""
    return f"people-{channel}"


@dataclass(frozen=True, slots=True)
class PartialConfig:
    """A valid configuration, with placeholders for what could not be read.

    Attributes:
        config: it; a part with a placeholder must not be used.
        text: the file's text, so that the same configuration can be completed later.
        unavailable: by key, why it could not be read.
    """

    config: Config
    text: str = ""
    unavailable: Mapping[KeyPath, str] = field(default_factory=dict)

    @property
    def usable(self) -> Config:
        """The configuration without acknowledge links if their key is not available."""
        if not any(path[0] == "links" for path in self.unavailable):
            return self.config
        links = msgspec.structs.replace(self.config.links, enabled=False)
        return msgspec.structs.replace(self.config, links=links)

    @property
    def held_cameras(self) -> dict[str, str]:
        """Why cameras cannot be started yet, by name."""
        cameras = self.config.cameras
        return {
            cameras[path[1]].name: f"waits for {key_text(path)}: {reason}"
            for path, reason in self.unavailable.items()
            if path[0] == "cameras" and isinstance(path[1], int)
        }

    @property
    def held_sinks(self) -> tuple[str, ...]:
        """The names of the sinks that cannot deliver yet; alerts wait in the outbox for them."""
        people = self.config.people
        names = {MQTT_SINK for path in self.unavailable if path[0] == "mqtt"}
        names |= {
            people_sink(people[path[1]].name)
            for path in self.unavailable
            if path[0] == "people" and isinstance(path[1], int)
        }
        return tuple(sorted(names))

    @property
    def in_words(self) -> str:
        return "; ".join(f"{key_text(path)}: {reason}" for path, reason in self.unavailable.items())
