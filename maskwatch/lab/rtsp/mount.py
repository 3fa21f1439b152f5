"""One path of the server: its programme, its faults and what happened on it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from maskwatch.lab.rtsp.faults import Faults
from maskwatch.lab.rtsp.playback import Playback

__all__ = ["Counts", "Mount", "Start"]


class Start(enum.Enum):
    """When a clip begins."""

    NOW = "now"
    """As soon as it is added."""
    CLIENT = "client"
    """When the first client says PLAY."""
    MANUAL = "manual"
    """On `RtspServer.play`; until then clients see its first frame as a still."""


@dataclass(slots=True)
class Counts:
    """What clients did and got on one path since it was added."""

    connections: int = 0
    """Connections on which this path was asked for."""
    described: int = 0
    """DESCRIBE requests answered with a description."""
    refused: int = 0
    """Requests answered with 401."""
    playing: int = 0
    """Clients that are playing now."""
    packets: int = 0
    """RTP packets sent, damaged ones included."""
    corrupted: int = 0
    """RTP packets sent with bytes overwritten."""
    dropped: int = 0
    """RTP packets that were left out."""
    omitted: int = 0
    """Pictures that were left out whole."""


@dataclass(slots=True)
class Mount:
    """A path that clients may ask for."""

    name: str
    playback: Playback
    start: Start
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
