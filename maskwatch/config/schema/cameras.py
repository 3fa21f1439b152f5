"""The keys of a camera: its stream, zones, schedule and decisions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from maskwatch.config.schema.keys import FilePath, Fraction, Name, Positive, Section, no_secret
from maskwatch.secrets import Secret, SecretUrl


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


class FaceSearch(StrEnum):
    """Where the face detector looks."""

    WHOLE = "whole"
    REGIONS = "regions"


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Schedule(Section, frozen=True, kw_only=True):
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


class ZoneConfig(Section, frozen=True, kw_only=True):
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


class DecisionConfig(Section, frozen=True, kw_only=True):
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
            "return is a new visit. Whoever was reported and vanished inside the picture is awaited for "
            "four times as long. Larger: fewer duplicate reports, later ends of violations.",
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
            description="Seconds without motion of its own after which a face is decided: one as "
            "still as a poster is not judged until it moves, any other counts as a person. Larger: "
            "people who hold still are reported later."
        ),
    ] = 1.2


class CameraConfig(Section, frozen=True, kw_only=True):
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
    ] = msgspec.field(default_factory=no_secret)
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
    redirect_hosts: Annotated[
        tuple[str, ...],
        Meta(
            max_length=16,
            description="Other hosts to which the camera may redirect, each HOST or HOST:PORT; they get "
            "its password as the camera does. Empty: only itself.",
        ),
    ] = ()
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
    face_search: Annotated[
        FaceSearch,
        Meta(
            description="Where faces are searched: `whole` searches the whole picture of every frame "
            "with motion or people, `regions` only around people, where something moves, and in turn "
            "everywhere. `regions` needs a fraction of the processor time and memory, and sees some "
            "people later.",
        ),
    ] = FaceSearch.WHOLE
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
