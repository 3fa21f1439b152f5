"""Every key of the configuration file: type, unit, default, description.

The loader, the JSON Schema, docs/configuration.md and config.example.yaml are all made from this
module. It is long because it is a table without logic.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from maskwatch.secrets import Secret, SecretUrl

Fraction = Annotated[float, Meta(ge=0, le=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
# Relative paths start at the directory of the configuration file.
FilePath = Annotated[str, Meta(extra={"path": True})]
# `words` describe a pattern in a message.
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[^/+#\x00-\x1f]+$",
        extra={"words": "a name of 1 to 64 characters without / + #"},
    ),
]


# A factory, since msgspec writes other defaults into the JSON Schema, where a Secret cannot be written.
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


class CameraAuth(StrEnum):
    """How the password may be sent to a camera."""

    DIGEST = "digest"
    ANY = "any"


class ZoneRule(StrEnum):
    """What a zone requires of people in it."""

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
            max_length=256,
            description="Corners [x, y], relative: 0 is left or top, 1 right or bottom.",
        ),
    ]
    rule: Annotated[
        ZoneRule,
        Meta(
            description="`required`: a mask must be worn; `ignored`: faces there are not analysed; "
            "`counted`: people are counted, not reported; `private`: blackened in every picture."
        ),
    ] = ZoneRule.REQUIRED
    schedule: Annotated[Schedule, Meta(description="When the rule holds.")] = Schedule()
    dwell: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds a person must be in the zone before a violation is reported. "
            "Larger: passers-by are not reported.",
        ),
    ] = 0.0


class DecisionConfig(_Section, frozen=True, kw_only=True):
    """How much evidence a decision needs."""

    false_alarm_rate: Annotated[
        float,
        Meta(
            gt=0,
            lt=0.5,
            description="Share of people with a mask that may be reported wrongly (0.001: one in "
            "a thousand). Smaller: fewer false alarms, later alerts.",
        ),
    ] = 0.001
    miss_rate: Annotated[
        float,
        Meta(
            gt=0,
            lt=0.5,
            description="Share of people without a mask that may be missed (0.01: one in a "
            "hundred). Smaller: fewer misses, slower verdicts that a mask is worn.",
        ),
    ] = 0.01
    correlation_time: Annotated[
        Positive,
        Meta(
            description="Seconds in which images of one face are too alike to count as separate "
            "evidence. Larger: safer verdicts, later alerts."
        ),
    ] = 0.4
    incorrect_is_violation: Annotated[
        bool,
        Meta(description="Whether a mask under the nose or on the chin is reported as a violation."),
    ] = False
    reassociate: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds out of sight after which a person counts as gone; a later "
            "return is a new visit. Larger: fewer duplicate reports, later ends of violations.",
        ),
    ] = 3.0
    cooldown: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds after an alert in which updates of its violation are held back. "
            "Larger: fewer messages.",
        ),
    ] = 10.0
    still_after: Annotated[
        Positive,
        Meta(
            description="Seconds without motion of its own after which a face is treated as a "
            "poster: not judged until it moves. Larger: posters cost processor time for longer."
        ),
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
    username: Annotated[
        str, Meta(description="Name to log in with, instead of credentials in the URL.")
    ] = ""
    password: Annotated[
        Secret, Meta(description="A reference: ${ENV}, file:/path or credential:name.")
    ] = msgspec.field(default_factory=_no_secret)
    substream: Annotated[
        SecretUrl | None,
        Meta(
            description="Address of a smaller stream that is analysed instead of the main one, "
            "with less processor time."
        ),
    ] = None
    enabled: Annotated[bool, Meta(description="Whether the camera is watched.")] = True
    transport: Annotated[
        Transport, Meta(description="`tcp`, `udp`, or `auto`: TCP, then UDP if the camera refuses.")
    ] = Transport.TCP
    auth: Annotated[
        CameraAuth,
        Meta(
            description="`digest`: log in by Digest, and by Basic only over rtsps; `any`: also by Basic "
            "without TLS, which shows the password to everybody on the network."
        ),
    ] = CameraAuth.DIGEST
    tls_verify: Annotated[
        bool, Meta(description="Whether the certificate of an rtsps camera is checked.")
    ] = True
    ca_file: Annotated[
        FilePath,
        Meta(description="Certificates to trust for an rtsps camera; empty: the system's."),
    ] = ""
    rotation: Annotated[
        Literal[0, 90, 180, 270],
        Meta(description="Degrees clockwise to turn the picture upright: 0, 90, 180 or 270."),
    ] = 0
    time_zone: Annotated[
        str, Meta(description="IANA name of the time zone in which schedules hold.")
    ] = "UTC"
    rate: Annotated[
        float,
        Meta(
            gt=0,
            le=30,
            description="Frames analysed per second. Larger: earlier alerts, more processor time.",
        ),
    ] = 5.0
    smallest_face: Annotated[
        int,
        Meta(
            ge=16,
            le=400,
            description="Height in pixels, in the camera's picture, of the smallest face to "
            "judge. Smaller: people farther away are judged, at more processor time per frame.",
        ),
    ] = 32
    detector_score: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="Minimum score of a detection that counts as a face. Larger: fewer "
            "objects are taken for faces, more faces are missed.",
        ),
    ] = 0.6
    video_track: Annotated[
        int,
        Meta(
            ge=-1,
            le=31,
            description="Number of the video track to analyse, from 0; -1: the largest one that moves.",
        ),
    ] = -1
    max_pixels: Annotated[
        int,
        Meta(
            ge=16_384,
            le=268_435_456,
            description="Largest picture to accept, as width times height; 33177600 is 7680x4320 "
            "(8K). A camera that sends larger ones is disconnected before they are decoded.",
        ),
    ] = 33_177_600
    open_timeout: Annotated[
        Positive,
        Meta(description="Seconds to wait for the first frame before the attempt to connect fails."),
    ] = 10.0
    stall_timeout: Annotated[
        Positive,
        Meta(
            description="Seconds without a frame before reconnecting. Smaller: outages are "
            "noticed earlier, slow cameras are reconnected needlessly."
        ),
    ] = 5.0
    pictures: Annotated[
        Pictures,
        Meta(
            description="`anonymized`: every face is a mosaic; `vault`: the same, with the "
            "reported person's face encrypted for review; `subject`: the reported person's face "
            "stays visible; `none`: no pictures."
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
    schedule: Annotated[Schedule, Meta(description="When the camera is analysed for violations.")] = (
        Schedule()
    )
    decision: Annotated[DecisionConfig, Meta(description="How much evidence a decision needs.")] = (
        DecisionConfig()
    )


class MqttConfig(_Section, frozen=True, kw_only=True):
    """The MQTT broker that alerts are published to."""

    enabled: Annotated[bool, Meta(description="Whether alerts are published to a broker.")] = True
    host: Annotated[str, Meta(min_length=1, description="Name or address of the broker.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="1883, or 8883 with TLS.")] = 1883
    version: Annotated[MqttVersion, Meta(description="Protocol version.")] = MqttVersion.V5
    username: Annotated[str, Meta(description="Name to log in with; empty: no credentials.")] = ""
    password: Annotated[
        Secret, Meta(description="A reference: ${ENV}, file:/path or credential:name.")
    ] = msgspec.field(default_factory=_no_secret)
    tls: Annotated[bool, Meta(description="Whether the connection is encrypted by TLS.")] = False
    ca_file: Annotated[FilePath, Meta(description="Certificates to trust; empty: the system's.")] = ""
    client_cert: Annotated[FilePath, Meta(description="Client certificate, if the broker asks.")] = ""
    client_key: Annotated[FilePath, Meta(description="Key of the client certificate.")] = ""
    client_key_password: Annotated[
        Secret, Meta(description="Passphrase of an encrypted `client_key`; a reference as `password`.")
    ] = msgspec.field(default_factory=_no_secret)
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


class MetricsConfig(_Section, frozen=True, kw_only=True):
    """The HTTP server for Prometheus and health checks."""

    enabled: Annotated[bool, Meta(description="Whether /metrics, /healthz and /readyz are served.")] = (
        True
    )
    host: Annotated[str, Meta(description="Address to bind; loopback by default.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port; 0 lets the system choose.")] = 9464


class LinksConfig(_Section, frozen=True, kw_only=True):
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
    ] = msgspec.field(default_factory=_no_secret)
    valid_for: Annotated[Positive, Meta(description="Seconds for which a link can be used.")] = 86_400.0


class RetentionConfig(_Section, frozen=True, kw_only=True):
    """How long stored data is kept."""

    pictures_days: Annotated[Positive, Meta(description="Days that pictures are kept.")] = 14.0
    violations_days: Annotated[Positive, Meta(description="Days that violations are kept.")] = 180.0
    occupancy_days: Annotated[
        Positive, Meta(description="Days that people counts per minute are kept.")
    ] = 730.0
    max_pictures: Annotated[int, Meta(ge=0, description="Maximum number of pictures; 0: no limit.")] = 0
    max_violations: Annotated[
        int, Meta(ge=0, description="Maximum number of violations; 0: no limit.")
    ] = 0
    max_megabytes: Annotated[
        int, Meta(ge=0, description="Maximum MiB of pictures and used database pages; 0: no limit.")
    ] = 4096
    interval: Annotated[Positive, Meta(description="Seconds between two passes of retention.")] = 600.0


class StoreConfig(_Section, frozen=True, kw_only=True):
    """The database and the pictures."""

    reserve_megabytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="MiB reserved so that violations can be stored, without pictures, when "
            "the disk is full.",
        ),
    ] = 32
    retention: Annotated[RetentionConfig, Meta(description="How long stored data is kept.")] = (
        RetentionConfig()
    )


class SupervisionConfig(_Section, frozen=True, kw_only=True):
    """When incidents are reported, and when a process is restarted."""

    offline_after: Annotated[
        Positive, Meta(description="Seconds without a picture before a camera is reported as offline.")
    ] = 60.0
    blind_after: Annotated[
        Positive,
        Meta(
            description="Seconds in which the picture is black, frozen, out of focus or of "
            "another view, or the lens is covered, before the camera is reported as blind."
        ),
    ] = 60.0
    worker_megabytes: Annotated[
        int,
        Meta(
            ge=256,
            description="MiB of resident memory at which a camera's process or the recorder is "
            "restarted.",
        ),
    ] = 1024


class ChannelConfig(_Section, frozen=True, kw_only=True):
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
    ] = msgspec.field(default_factory=_no_secret)
    webhook: Annotated[
        SecretUrl,
        Meta(description="http(s) address that receives alerts as JSON, instead of `url`."),
    ] = msgspec.field(default_factory=_no_address)
    key: Annotated[Secret, Meta(description="Key that signs the webhook's requests (HMAC-SHA256).")] = (
        msgspec.field(default_factory=_no_secret)
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


class LogConfig(_Section, frozen=True, kw_only=True):
    """The log, on standard error."""

    format: Annotated[LogFormat, Meta(description="`console` or `json`.")] = LogFormat.CONSOLE
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Lowest level that is written.")
    ] = "info"


class Config(_Section, frozen=True, kw_only=True):
    """The whole file."""

    node: Annotated[
        Name,
        Meta(description="Name of this machine in topics; unique among those on one broker."),
    ] = "maskwatch"
    data_dir: Annotated[
        FilePath, Meta(min_length=1, description="Directory of database and pictures, on a local disk.")
    ] = "/var/lib/maskwatch"
    runtime_dir: Annotated[
        FilePath, Meta(min_length=1, description="Directory of the sockets between processes.")
    ] = "/run/maskwatch"
    model: Annotated[
        FilePath, Meta(description="Manifest of the mask model; empty: the shipped one.")
    ] = ""
    face_weights: Annotated[
        FilePath, Meta(description="Path of a copy of the shipped YuNet file; empty: the shipped one.")
    ] = ""
    cameras: Annotated[tuple[CameraConfig, ...], Meta(min_length=1, description="What is watched.")]
    mqtt: Annotated[MqttConfig, Meta(description="The MQTT broker that alerts are published to.")] = (
        msgspec.field(default_factory=MqttConfig)
    )
    people: Annotated[
        tuple[ChannelConfig, ...],
        Meta(description="Who else is notified: by mail, chat, push or webhook."),
    ] = ()
    links: Annotated[
        LinksConfig, Meta(description="Links in messages by which people acknowledge a violation.")
    ] = msgspec.field(default_factory=LinksConfig)
    metrics: Annotated[
        MetricsConfig, Meta(description="The HTTP server for Prometheus and health checks.")
    ] = MetricsConfig()
    store: Annotated[StoreConfig, Meta(description="The database and the pictures.")] = StoreConfig()
    supervision: Annotated[
        SupervisionConfig,
        Meta(description="When incidents are reported, and when a process is restarted."),
    ] = SupervisionConfig()
    log: Annotated[LogConfig, Meta(description="The log.")] = LogConfig()
