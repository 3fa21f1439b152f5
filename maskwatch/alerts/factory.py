"""Creates the sinks of a configuration."""

from __future__ import annotations

from maskwatch.alerts.mqtt.sink import MqttSink
from maskwatch.alerts.notify.sink import NotificationSink
from maskwatch.alerts.sink import Sink
from maskwatch.config.schema import Config


def make_sinks(config: Config) -> list[Sink]:
    """Return the sinks of this configuration, not started yet; their names are stable and unique.

    Raises:
        DependencyError: a channel needs Apprise, which is not installed.
        ConfigError: Apprise does not understand a channel's URL.
    """
    sinks: list[Sink] = []
    if config.mqtt.enabled:
        sinks.append(MqttSink(config))
    enabled = (channel for channel in config.people if channel.url or channel.webhook)
    sinks.extend(NotificationSink(config, channel) for channel in enabled)
    return sinks
