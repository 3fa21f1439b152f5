"""The keys of the daemon itself, and the whole file."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from maskwatch.config.schema.alerts import ChannelConfig, LinksConfig, MqttConfig
from maskwatch.config.schema.cameras import CameraConfig
from maskwatch.config.schema.keys import FilePath, Name, Positive, Section


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


class MetricsConfig(Section, frozen=True, kw_only=True):
    """The HTTP server for Prometheus and health checks."""

    enabled: Annotated[bool, Meta(description="Whether /metrics, /healthz and /readyz are served.")] = (
        True
    )
    host: Annotated[str, Meta(description="Address to bind; loopback by default.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port; 0 lets the system choose.")] = 9464


class RetentionConfig(Section, frozen=True, kw_only=True):
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


class StoreConfig(Section, frozen=True, kw_only=True):
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


class SupervisionConfig(Section, frozen=True, kw_only=True):
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
    fork_workers: Annotated[
        bool,
        Meta(
            description="Fork the cameras' processes from one that has loaded all libraries: each needs "
            "less memory and time to start. Otherwise each is a program with its own address layout."
        ),
    ] = True


class LogConfig(Section, frozen=True, kw_only=True):
    """The log, on standard error."""

    format: Annotated[LogFormat, Meta(description="`console` or `json`.")] = LogFormat.CONSOLE
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Lowest level that is written.")
    ] = "info"


class Config(Section, frozen=True, kw_only=True):
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
