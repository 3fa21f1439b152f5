"""Which ways out a configuration asks for."""

from __future__ import annotations

from maskwatch.alerts.mqtt import MqttSink
from maskwatch.alerts.sink import Sink
from maskwatch.config.schema import Config

__all__ = ["make_sinks"]


def make_sinks(config: Config) -> list[Sink]:
    """Return the sinks of this configuration, not started; their names are stable and unique."""
    sinks: list[Sink] = []
    if config.mqtt.enabled:
        sinks.append(MqttSink(config))
    return sinks
