"""Tests every sink once, beside a daemon that may be running: can it be reached, may it be used?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from maskwatch.alerts.mqtt.canary import verify_publishing
from maskwatch.alerts.mqtt.connection import MqttConnection
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.topics import Message, Topic, Topics
from maskwatch.alerts.notify.isolated import IsolatedTransport
from maskwatch.alerts.notify.messages import Notification
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import ChannelConfig, Config
from maskwatch.errors import MaskwatchError
from maskwatch.secrets import redact


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """The result of one sink's test; `error` is "" if it works."""

    name: str
    error: str


def sink_names(config: Config) -> list[str]:
    """Return the names of all sinks, also of those that are off."""
    return ["mqtt", *(channel.name for channel in config.people)]


def run_self_test(config: Config, only: str = "") -> Iterator[SelfTestResult]:
    """Test every sink that is on, or only the one of this name."""
    if config.mqtt.enabled and only in {"", "mqtt"}:
        yield SelfTestResult("mqtt", _test_broker(config))
    for channel in config.people:
        if (channel.url or channel.webhook) and only in {"", channel.name}:
            yield SelfTestResult(channel.name, _test_channel(config, channel))


def _test_broker(config: Config) -> str:
    """Verify publishing under another client id than the daemon's; return the error, if any."""
    topics = Topics(config.mqtt.topic_prefix, config.node)
    will = Message(topics.of(Topic.CANARY), b"trial")
    connection = MqttConnection(config.mqtt, f"maskwatch-trial-{secrets.token_hex(4)}", will)
    probe = MessageBuilder(topics, config.node).message(Topic.CANARY, secrets.token_hex(8).encode())
    try:
        connection.open(config.mqtt.ack_timeout)
        verify_publishing(connection, probe, config.mqtt.ack_timeout)
        connection.close()
    except MaskwatchError as error:
        return redact(str(error))
    finally:
        connection.abort()
    return ""


def _test_channel(config: Config, channel: ChannelConfig) -> str:
    """Send a test notification; return the error, if any."""
    title = f"maskwatch on {config.node}: test"
    text = f"This is a test of the channel {channel.name}. If you read it, alerts will reach you, too."
    try:
        status, detail = IsolatedTransport(channel).send(Notification(title, text, None, ()))
    except MaskwatchError as error:
        return redact(str(error))
    return "" if status is DeliveryStatus.ACCEPTED else detail
