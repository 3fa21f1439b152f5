"""Every key of the configuration file: type, unit, default, description.

This is the one place: the loader, the JSON Schema, docs/configuration.md and the test of
config.example.yaml are all made from it. It is long because it is a table, without logic: each section
of the file is looked up here, none is read in one go.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from maskwatch.secrets import Secret, SecretUrl

__all__ = [
    "CameraConfig",
    "ChannelConfig",
    "Config",
    "DecisionConfig",
    "LinksConfig",
    "LogConfig",
    "LogFormat",
    "MetricsConfig",
    "MqttConfig",
    "MqttVersion",
    "Pictures",
    "RetentionConfig",
    "Schedule",
    "StoreConfig",
    "SupervisionConfig",
    "Transport",
    "Weekday",
    "ZoneConfig",
    "ZoneRule",
]

Fraction = Annotated[float, Meta(ge=0, le=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
# Relative paths start at the directory of the configuration file.
FilePath = Annotated[str, Meta(extra={"path": True})]
# `words` say in a message what a pattern means.
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[^/+#\x00-\x1f]+$",
        extra={"words": "a name of 1 to 64 characters without / + #"},
    ),
]


# A factory, since msgspec writes other defaults into the JSON Schema, and a Secret has no JSON.
def _no_secret() -> Secret:
    return Secret("")


def _no_address() -> SecretUrl:
    return SecretUrl("")


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in the file."""


class Transport(StrEnum):
    """How RTP travels."""

    TCP = "tcp"
    UDP = "udp"
    AUTO = "auto"  # TCP, then UDP when the server refuses it


class ZoneRule(StrEnum):
    """What a zone asks for."""

    REQUIRED = "required"
    IGNORED = "ignored"
    COUNTED = "counted"
    PRIVATE = "private"


class Pictures(StrEnum):
    """What a stored picture shows of the subject's face."""

    ANONYMIZED = "anonymized"
    VAULT = "vault"
    SUBJECT = "subject"
    NONE = "none"


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class MqttVersion(StrEnum):
    """The protocol's version."""

    V311 = "3.1.1"
    V5 = "5"


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


class Schedule(_Section, frozen=True, kw_only=True):
    """When a rule holds, in the camera's time zone."""

    days: Annotated[
        tuple[Weekday, ...], Meta(description="Days on which the rule holds; all by default.")
    ] = tuple(Weekday)
    start: Annotated[
        str,
        Meta(
            pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
            description="From this local time, HH:MM.",
            extra={"words": "a time from 00:00 to 23:59"},
        ),
    ] = "00:00"
    end: Annotated[
        str,
        Meta(
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$",
            description="Until this local time, HH:MM; before `start` means past midnight.",
            extra={"words": "a time from 00:00 to 24:00"},
        ),
    ] = "24:00"
    except_dates: Annotated[
        tuple[str, ...],
        Meta(description="Holidays, YYYY-MM-DD, on which the rule does not hold."),
    ] = ()


class ZoneConfig(_Section, frozen=True, kw_only=True):
    """A named part of the picture with a rule of its own."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="Shown in alerts and metrics.")]
    polygon: Annotated[
        tuple[tuple[Fraction, Fraction], ...],
        Meta(
            min_length=3,
            description="Corners [x, y], relative: 0 is left or top, 1 right or bottom.",
        ),
    ]
    rule: Annotated[
        ZoneRule,
        Meta(
            description="`required`: a mask must be worn; `ignored`: faces there are not looked at; "
            "`counted`: people are counted, none is reported; `private`: blackened in every picture."
        ),
    ] = ZoneRule.REQUIRED
    schedule: Annotated[Schedule, Meta(description="When the rule holds.")] = Schedule()
    dwell: Annotated[
        float, Meta(ge=0, description="Seconds a person must be in the zone before it can report.")
    ] = 0.0


class DecisionConfig(_Section, frozen=True, kw_only=True):
    """When the evidence is enough."""

    false_alarm_rate: Annotated[
        float,
        Meta(gt=0, lt=0.5, description="Nominal share of masked people reported (Wald's alpha)."),
    ] = 0.001
    miss_rate: Annotated[
        float,
        Meta(gt=0, lt=0.5, description="Nominal share of unmasked people missed (Wald's beta)."),
    ] = 0.01
    correlation_time: Annotated[
        Positive,
        Meta(description="Seconds over which readings of one face repeat themselves (tau)."),
    ] = 0.4
    incorrect_is_violation: Annotated[
        bool, Meta(description="Whether a mask under the nose or on the chin is reported.")
    ] = False
    reassociate: Annotated[
        float, Meta(ge=0, description="Seconds after which a person who vanished has left.")
    ] = 3.0
    cooldown: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds after an alert was sent in which updates of it are held back.",
        ),
    ] = 10.0
    still_after: Annotated[
        Positive,
        Meta(description="Seconds a face may show no motion of its own before it counts as a poster."),
    ] = 2.0


class CameraConfig(_Section, frozen=True, kw_only=True):
    """One camera."""

    name: Annotated[
        Name,
        Meta(description="Unique, stable: topics, metrics and rows carry it."),
    ]
    url: Annotated[
        SecretUrl,
        Meta(description="rtsp:// or rtsps:// address of the main stream, or a file's path."),
    ]
    username: Annotated[str, Meta(description="Instead of credentials in the URL.")] = ""
    password: Annotated[Secret, Meta(description="As ${ENV}, file: or credential: reference.")] = (
        msgspec.field(default_factory=_no_secret)
    )
    substream: Annotated[
        SecretUrl | None,
        Meta(description="Address of a smaller stream to analyse instead of the main one."),
    ] = None
    enabled: Annotated[bool, Meta(description="Whether the camera is watched.")] = True
    transport: Annotated[
        Transport, Meta(description="`tcp`, `udp`, or `auto`: TCP, then UDP if the camera refuses.")
    ] = Transport.TCP
    tls_verify: Annotated[bool, Meta(description="Whether an rtsps certificate is checked.")] = True
    rotation: Annotated[
        Literal[0, 90, 180, 270],
        Meta(description="Degrees clockwise to turn the picture upright: 0, 90, 180 or 270."),
    ] = 0
    time_zone: Annotated[str, Meta(description="IANA name, for schedules.")] = "UTC"
    rate: Annotated[float, Meta(gt=0, le=30, description="Frames analysed per second.")] = 5.0
    smallest_face: Annotated[
        int,
        Meta(
            ge=16,
            le=400,
            description="Height in pixels of the camera's picture of the smallest face to judge.",
        ),
    ] = 32
    detector_score: Annotated[
        float, Meta(gt=0, lt=1, description="Least score of a detection that counts as a face.")
    ] = 0.6
    open_timeout: Annotated[Positive, Meta(description="Seconds to wait for a first frame.")] = 10.0
    stall_timeout: Annotated[
        Positive, Meta(description="Seconds without a frame before reconnecting.")
    ] = 5.0
    pictures: Annotated[
        Pictures,
        Meta(
            description="`anonymized`: every face is a mosaic; `vault`: that, and the subject's face in "
            "the encrypted review vault; `subject`: the subject's face is kept; `none`: no pictures."
        ),
    ] = Pictures.ANONYMIZED
    vault_key: Annotated[
        str,
        Meta(
            pattern=r"^([A-Za-z0-9+/]{43}=)?$",
            description="Public key of the review vault, made by `maskwatch vault key`; `pictures: "
            "vault` needs it.",
            extra={"words": "the 44 characters that `maskwatch vault key` prints"},
        ),
    ] = ""
    zones: Annotated[
        tuple[ZoneConfig, ...],
        Meta(description="Without a zone, a mask is required in the whole picture."),
    ] = ()
    schedule: Annotated[Schedule, Meta(description="When the camera is judged at all.")] = Schedule()
    decision: Annotated[DecisionConfig, Meta(description="When the evidence is enough.")] = (
        DecisionConfig()
    )


class MqttConfig(_Section, frozen=True, kw_only=True):
    """The broker that alerts go to."""

    enabled: Annotated[bool, Meta(description="Whether alerts go to a broker.")] = True
    host: Annotated[str, Meta(min_length=1, description="Name or address of the broker.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="1883, or 8883 with TLS.")] = 1883
    version: Annotated[MqttVersion, Meta(description="Protocol version.")] = MqttVersion.V5
    username: Annotated[str, Meta(description="Empty: no credentials.")] = ""
    password: Annotated[Secret, Meta(description="As ${ENV}, file: or credential: reference.")] = (
        msgspec.field(default_factory=_no_secret)
    )
    tls: Annotated[bool, Meta(description="Whether the connection is encrypted.")] = False
    ca_file: Annotated[FilePath, Meta(description="Certificates to trust; empty: the system's.")] = ""
    client_cert: Annotated[FilePath, Meta(description="Client certificate, if the broker asks.")] = ""
    client_key: Annotated[FilePath, Meta(description="Key of the client certificate.")] = ""
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
        Meta(ge=1, le=1000, description="Publications that may wait for their acknowledgement."),
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
    home_assistant_prefix: Annotated[str, Meta(description="Home Assistant's discovery prefix.")] = (
        "homeassistant"
    )
    commands: Annotated[
        bool,
        Meta(description="Whether commands are taken from the broker (restrict them by its ACL)."),
    ] = False


class MetricsConfig(_Section, frozen=True, kw_only=True):
    """The HTTP end for Prometheus and health checks."""

    enabled: Annotated[bool, Meta(description="Whether /metrics, /healthz and /readyz are served.")] = (
        True
    )
    host: Annotated[str, Meta(description="Address to bind; loopback by default.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port; 0 lets the system choose.")] = 9464


class LinksConfig(_Section, frozen=True, kw_only=True):
    """The HTTP end that links to acknowledge lead to; messages to people then hold such a link."""

    enabled: Annotated[bool, Meta(description="Whether links are sent and answered.")] = False
    host: Annotated[str, Meta(description="Address to bind; loopback by default.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to bind.")] = 9465
    address: Annotated[
        str,
        Meta(
            description="http(s) address as people reach it, by a proxy; empty: that of host and port."
        ),
    ] = ""
    key: Annotated[
        Secret, Meta(description="What signs the links (HMAC-SHA256), 32 characters or more.")
    ] = msgspec.field(default_factory=_no_secret)
    valid_for: Annotated[Positive, Meta(description="Seconds for which a link can be used.")] = 86_400.0


class RetentionConfig(_Section, frozen=True, kw_only=True):
    """How long what is kept."""

    pictures_days: Annotated[Positive, Meta(description="Days that pictures are kept.")] = 14.0
    violations_days: Annotated[Positive, Meta(description="Days that violations are kept.")] = 180.0
    occupancy_days: Annotated[Positive, Meta(description="Days that counts per minute are kept.")] = (
        730.0
    )
    max_pictures: Annotated[int, Meta(ge=0, description="Most pictures kept; 0: no limit.")] = 0
    max_violations: Annotated[int, Meta(ge=0, description="Most violations kept; 0: no limit.")] = 0
    max_megabytes: Annotated[
        int, Meta(ge=0, description="Most MiB of pictures and used database pages; 0: no limit.")
    ] = 4096
    interval: Annotated[Positive, Meta(description="Seconds between two passes.")] = 600.0


class StoreConfig(_Section, frozen=True, kw_only=True):
    """The database and the pictures."""

    reserve_megabytes: Annotated[
        int, Meta(ge=0, le=1024, description="MiB set aside for rows when the disk is full.")
    ] = 32
    retention: Annotated[RetentionConfig, Meta(description="How long what is kept.")] = RetentionConfig()


class SupervisionConfig(_Section, frozen=True, kw_only=True):
    """When trouble is reported, and when a process is renewed."""

    offline_after: Annotated[
        Positive, Meta(description="Seconds without a picture before a camera is reported as offline.")
    ] = 60.0
    blind_after: Annotated[
        Positive,
        Meta(
            description="Seconds of a picture that is black, frozen, covered, out of focus or of "
            "another view before that is reported."
        ),
    ] = 60.0
    worker_megabytes: Annotated[
        int,
        Meta(
            ge=256,
            description="MiB of resident memory at which a camera's process or the recorder is renewed.",
        ),
    ] = 1024


class ChannelConfig(_Section, frozen=True, kw_only=True):
    """One way to tell people: an Apprise service or a signed webhook. Without either it is off."""

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
    ] = msgspec.field(default_factory=_no_secret)
    webhook: Annotated[
        SecretUrl,
        Meta(description="http(s) address that gets alerts as JSON, instead of `url`."),
    ] = msgspec.field(default_factory=_no_address)
    key: Annotated[Secret, Meta(description="What signs the webhook's requests (HMAC-SHA256).")] = (
        msgspec.field(default_factory=_no_secret)
    )
    cameras: Annotated[tuple[str, ...], Meta(description="Only alerts of these; all by default.")] = ()
    zones: Annotated[tuple[str, ...], Meta(description="Only violations in these; all by default.")] = ()
    violations: Annotated[bool, Meta(description="Whether violations are told.")] = True
    incidents: Annotated[bool, Meta(description="Whether trouble is told.")] = True
    ended: Annotated[bool, Meta(description="Whether the end of a violation is told, too.")] = False
    unacknowledged_for: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds after which a violation that nobody acknowledged is told; 0: at once.",
        ),
    ] = 0.0
    quiet_start: Annotated[
        str,
        Meta(
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
            description="From this local time, HH:MM, nobody is told; one message sums it up after.",
            extra={"words": "a time such as 22:00"},
        ),
    ] = ""
    quiet_end: Annotated[
        str,
        Meta(
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
            description="Until this local time, HH:MM.",
            extra={"words": "a time such as 06:00"},
        ),
    ] = ""
    time_zone: Annotated[str, Meta(description="IANA name, for quiet hours and times in texts.")] = "UTC"
    burst: Annotated[
        int, Meta(ge=1, le=100, description="Messages within `digest` seconds before they are gathered.")
    ] = 3
    digest: Annotated[Positive, Meta(description="Seconds between messages that sum up many.")] = 300.0
    picture: Annotated[bool, Meta(description="Whether the anonymized picture is attached.")] = True
    title: Annotated[
        str,
        Meta(
            description="Text with {camera}, {zone}, {what}, {time}, {reason}, {node}, {id} and {link}, "
            "where it is acknowledged (with `links`)."
        ),
    ] = "{what}: {camera}"
    body: Annotated[str, Meta(description="Text with the same words.")] = (
        "{time}: {what} at {camera} {zone} {reason} ({id}) {link}"
    )


class LogConfig(_Section, frozen=True, kw_only=True):
    """Log lines, to standard error."""

    format: Annotated[LogFormat, Meta(description="`console` or `json`.")] = LogFormat.CONSOLE
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level shown.")
    ] = "info"


class Config(_Section, frozen=True, kw_only=True):
    """The whole file."""

    node: Annotated[
        Name,
        Meta(description="Name of this machine in topics; unique among those on one broker."),
    ] = "maskwatch"
    data_dir: Annotated[
        FilePath, Meta(min_length=1, description="Directory of database and pictures; a local disk.")
    ] = "/var/lib/maskwatch"
    runtime_dir: Annotated[FilePath, Meta(min_length=1, description="Directory of sockets.")] = (
        "/run/maskwatch"
    )
    model: Annotated[
        FilePath, Meta(description="Manifest of the mask model; empty: the one that is shipped.")
    ] = ""
    face_weights: Annotated[
        FilePath, Meta(description="Path of a copy of the shipped YuNet file; empty: the shipped one.")
    ] = ""
    cameras: Annotated[tuple[CameraConfig, ...], Meta(min_length=1, description="What is watched.")]
    mqtt: Annotated[MqttConfig, Meta(description="The broker that alerts go to.")] = msgspec.field(
        default_factory=MqttConfig
    )
    people: Annotated[
        tuple[ChannelConfig, ...], Meta(description="Who else is told: mail, chat, push, webhooks.")
    ] = ()
    links: Annotated[LinksConfig, Meta(description="Links to acknowledge.")] = msgspec.field(
        default_factory=LinksConfig
    )
    metrics: Annotated[MetricsConfig, Meta(description="The HTTP end for Prometheus.")] = MetricsConfig()
    store: Annotated[StoreConfig, Meta(description="Database and pictures.")] = StoreConfig()
    supervision: Annotated[
        SupervisionConfig, Meta(description="When trouble is reported, and a process renewed.")
    ] = SupervisionConfig()
    log: Annotated[LogConfig, Meta(description="Log lines.")] = LogConfig()
