"""RTSP cameras to test with: recorded clips served live, with faults on demand.

>>> with RtspServer(users={"admin": "secret"}) as server:
...     server.add("hall", "hall.mp4")
...     print(server.url("hall"))
...     server.faults("hall").stall = True
"""

from __future__ import annotations

from maskwatch.lab.rtsp.auth import AuthScheme
from maskwatch.lab.rtsp.clip import Clip, Codec
from maskwatch.lab.rtsp.faults import Faults
from maskwatch.lab.rtsp.playback import Counts, Start
from maskwatch.lab.rtsp.server import RtspServer, Started

__all__ = [
    "AuthScheme",
    "Clip",
    "Codec",
    "Counts",
    "Faults",
    "RtspServer",
    "Start",
    "Started",
]
