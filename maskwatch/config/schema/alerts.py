"""The keys of the destinations of alerts: broker, channels to people, acknowledge links."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from maskwatch.config.schema.keys import FilePath, Port, Positive, Section, no_address, no_secret
from maskwatch.secrets import Secret, SecretUrl


class MqttVersion(StrEnum):
    """The protocol's version."""

    V311 = "3.1.1"
    V5 = "5"


class MqttConfig(Section, frozen=True, kw_only=True):
    """The MQTT broker that alerts are published to."""

    enabled: Annotated[bool, Meta(description="Whether alerts are published to a broker.")] = True
    host: Annotated[str, Meta(min_length=1, description="Name or address of the broker.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="1883, or 8883 with TLS.")] = 1883
    version: Annotated[MqttVersion, Meta(description="Protocol version.")] = MqttVersion.V5
    username: Annotated[str, Meta(description="Name to log in with; empty: no credentials.")] = ""
    password: Annotated[
        Secret, Meta(description="A reference: ${ENV}, file:/path or credential:name.")
    ] = msgspec.field(default_factory=no_secret)
    tls: Annotated[bool, Meta(description="Whether the connection is encrypted by TLS.")] = False
    ca_file: Annotated[FilePath, Meta(description="Certificates to trust; empty: the system's.")] = ""
    client_cert: Annotated[FilePath, Meta(description="Client certificate, if the broker asks.")] = ""
    client_key: Annotated[FilePath, Meta(description="Key of the client certificate.")] = ""
    client_key_password: Annotated[
        Secret, Meta(description="Passphrase of an encrypted `client_key`; a reference as `password`.")
    ] = msgspec.field(default_factory=no_secret)
    topic_prefix: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"^[^+#\x00]+$",
            description="First levels of every topic.",
            extra={"words": "a topic without + and #"},
        ),
    ] = "maskwatch"
    keepalive: Annotated[int, Meta(ge=5, le=3600, description="Seconds between pings.")] = 30
    window: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Publications that may wait for the broker's acknowledgement. Larger: a "
            "backlog is delivered faster.",
        ),
    ] = 20
    ack_timeout: Annotated[
        Positive, Meta(description="Seconds to wait for an acknowledgement before reconnecting.")
    ] = 10.0
    send_pictures: Annotated[
        bool, Meta(description="Whether the anonymized JPEG is published on a topic of its own.")
    ] = False
    home_assistant: Annotated[
        bool, Meta(description="Whether Home Assistant discovery is published.")
    ] = False
    home_assistant_prefix: Annotated[
        str,
        Meta(
            pattern=r"^[^+#]*$",
            description="Home Assistant's discovery prefix.",
            extra={"words": "a topic without + and #"},
        ),
    ] = "homeassistant"
    commands: Annotated[
        bool,
        Meta(description="Whether commands are accepted from the broker (restrict them by its ACL)."),
    ] = False


class ChannelConfig(Section, frozen=True, kw_only=True):
    """One way to notify people: an Apprise service or a signed webhook. Without either it is off."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9_-]{1,32}$",
            description="Unique, stable: rows and metrics carry it, as people-NAME.",
            extra={"words": "1 to 32 of the characters a-z, 0-9, - and _"},
        ),
    ]
    url: Annotated[
        Secret,
        Meta(description="Apprise URL of the service: mailto://..., tgram://... (extra: people)."),
    ] = msgspec.field(default_factory=no_secret)
    webhook: Annotated[
        SecretUrl,
        Meta(description="http(s) address that receives alerts as JSON, instead of `url`."),
    ] = msgspec.field(default_factory=no_address)
    key: Annotated[Secret, Meta(description="Key that signs the webhook's requests (HMAC-SHA256).")] = (
        msgspec.field(default_factory=no_secret)
    )
    cameras: Annotated[
        tuple[str, ...], Meta(description="Cameras whose alerts are sent; all by default.")
    ] = ()
    zones: Annotated[
        tuple[str, ...], Meta(description="Zones whose violations are sent; all by default.")
    ] = ()
    violations: Annotated[bool, Meta(description="Whether violations are sent.")] = True
    incidents: Annotated[
        bool, Meta(description="Whether incidents (camera offline, disk full, ...) are sent.")
    ] = True
    ended: Annotated[bool, Meta(description="Whether the end of a violation is sent too.")] = False
    unacknowledged_for: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds after which a violation is sent if it is not acknowledged by "
            "then; 0: every violation is sent immediately.",
        ),
    ] = 0.0
    quiet_start: Annotated[
        str,
        Meta(
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
            description="From this local time, HH:MM, messages are held back; one message sums "
            "them up at the end.",
            extra={"words": "a time such as 22:00"},
        ),
    ] = ""
    quiet_end: Annotated[
        str,
        Meta(
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
            description="End of the quiet hours, local time, HH:MM.",
            extra={"words": "a time such as 06:00"},
        ),
    ] = ""
    time_zone: Annotated[
        str, Meta(description="IANA name of the time zone of quiet hours and of times in messages.")
    ] = "UTC"
    burst: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Messages within `digest` seconds that are sent separately; further ones "
            "are summed up.",
        ),
    ] = 3
    digest: Annotated[
        Positive, Meta(description="Seconds between messages that sum up several alerts.")
    ] = 300.0
    picture: Annotated[bool, Meta(description="Whether the anonymized picture is attached.")] = True
    title: Annotated[
        str,
        Meta(
            description="Text with {camera}, {zone}, {what}, {time}, {reason}, {node}, {id} and "
            "{link} (the address to acknowledge it, with `links`).",
            extra={"allowed": "\n\t"},
        ),
    ] = "{what}: {camera}"
    body: Annotated[
        str,
        Meta(
            description="Text with the same placeholders as `title`, of one or more lines.",
            extra={"allowed": "\n\t"},
        ),
    ] = "{time}: {what} at {camera} {zone} {reason} ({id}) {link}"


class LinksConfig(Section, frozen=True, kw_only=True):
    """The HTTP server for acknowledge links, which messages to people then contain."""

    enabled: Annotated[
        bool, Meta(description="Whether messages contain links, and the server for them runs.")
    ] = False
    host: Annotated[str, Meta(description="Address to bind; loopback by default.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to bind.")] = 9465
    address: Annotated[
        str,
        Meta(
            description="http(s) address by which people reach the server, for example a proxy's; "
            "empty: `host` and `port`."
        ),
    ] = ""
    key: Annotated[
        Secret, Meta(description="Key that signs the links (HMAC-SHA256), 32 characters or more.")
    ] = msgspec.field(default_factory=no_secret)
    valid_for: Annotated[Positive, Meta(description="Seconds for which a link can be used.")] = 86_400.0
