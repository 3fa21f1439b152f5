"""Tries every way out once, beside a daemon that may be running: is anybody there, may we speak?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from maskwatch.alerts.mqtt.connection import MqttConnection
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.session import MqttSession
from maskwatch.alerts.mqtt.topics import Message, Topic, Topics
from maskwatch.alerts.notify.messages import Notification
from maskwatch.alerts.notify.transports import make_transport
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import ChannelConfig, Config
from maskwatch.errors import MaskwatchError
from maskwatch.secrets import redact

__all__ = ["SelfTestResult", "names", "run_self_test"]


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """How one way out fared; `fault` is "" if all went well."""

    name: str
    fault: str


def names(config: Config) -> list[str]:
    """Return the names of all ways out, also of those that are off."""
    return ["mqtt", *(channel.name for channel in config.people)]


def run_self_test(config: Config, only: str = "") -> Iterator[SelfTestResult]:
    """Try every way out that is on, or only the one of this name."""
    if config.mqtt.enabled and only in {"", "mqtt"}:
        yield SelfTestResult("mqtt", _fault_of_broker(config))
    for channel in config.people:
        if (channel.url or channel.webhook) and only in {"", channel.name}:
            yield SelfTestResult(channel.name, _fault_of_channel(config, channel))


def _fault_of_broker(config: Config) -> str:
    """Connect under another client id than the daemon's, and publish to ourselves."""
    composer = MessageBuilder(Topics(config.mqtt.topic_prefix, config.node), config.node)
    will = Message(composer.topics.of(Topic.CANARY), b"trial")
    link = MqttConnection(config.mqtt, f"maskwatch-trial-{secrets.token_hex(4)}", will)
    try:
        link.open(config.mqtt.ack_timeout)
        MqttSession(link, config.mqtt, composer, lambda _: None).begin(())
        link.close()
    except MaskwatchError as error:
        return redact(str(error))
    finally:
        link.drop()
    return ""


def _fault_of_channel(config: Config, channel: ChannelConfig) -> str:
    title = f"maskwatch on {config.node}: test"
    text = f"This is a test of the channel {channel.name}. If you read it, alerts will reach you, too."
    try:
        fate, detail = make_transport(channel).carry(Notification(title, text, None, ()))
    except MaskwatchError as error:
        return redact(str(error))
    return "" if fate is DeliveryStatus.ACCEPTED else detail
