"""Tries every way out once, beside a daemon that may be running: is anybody there, may we speak?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from maskwatch.alerts.carriers import make_carrier
from maskwatch.alerts.letters import Letter
from maskwatch.alerts.link import Link
from maskwatch.alerts.messages import Composer
from maskwatch.alerts.session import Session
from maskwatch.alerts.sink import Fate
from maskwatch.alerts.topics import Message, Topic, Topics
from maskwatch.config.schema import ChannelConfig, Config
from maskwatch.errors import MaskwatchError
from maskwatch.secrets import redact

__all__ = ["Trial", "names", "trials"]


@dataclass(frozen=True, slots=True)
class Trial:
    """How one way out fared; `fault` is "" if all went well."""

    name: str
    fault: str


def names(config: Config) -> list[str]:
    """Return the names of all ways out, also of those that are off."""
    return ["mqtt", *(channel.name for channel in config.people)]


def trials(config: Config, only: str = "") -> Iterator[Trial]:
    """Try every way out that is on, or only the one of this name."""
    if config.mqtt.enabled and only in {"", "mqtt"}:
        yield Trial("mqtt", _fault_of_broker(config))
    for channel in config.people:
        if (channel.url or channel.webhook) and only in {"", channel.name}:
            yield Trial(channel.name, _fault_of_channel(config, channel))


def _fault_of_broker(config: Config) -> str:
    """Connect under another client id than the daemon's, and publish to ourselves."""
    composer = Composer(Topics(config.mqtt.topic_prefix, config.node), config.node)
    will = Message(composer.topics.of(Topic.CANARY), b"trial")
    link = Link(config.mqtt, f"maskwatch-trial-{secrets.token_hex(4)}", will)
    try:
        link.open(config.mqtt.ack_timeout)
        Session(link, config.mqtt, composer, lambda _: None).begin(())
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
        fate, detail = make_carrier(channel).carry(Letter(title, text, None, ()))
    except MaskwatchError as error:
        return redact(str(error))
    return "" if fate is Fate.ACCEPTED else detail
