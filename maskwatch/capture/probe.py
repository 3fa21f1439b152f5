"""Watches a camera for a few seconds and reports what it sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwatch.capture.container import StreamOptions
from maskwatch.capture.rtsp import RtspSource
from maskwatch.capture.source import Fit, Size, native_size
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.addresses import is_network_address
from maskwatch.domain.detection import Detection
from maskwatch.errors import SourceEndedError

if TYPE_CHECKING:
    from maskwatch.domain.frame import Frame, Image

FindFaces = Callable[["Image"], Sequence[Detection]]

_RATE = 5.0
_POLL_S = 0.2
_FROZEN_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a camera sends.

    Attributes:
        address: where, without credentials.
        codec: FFmpeg's name: h264, hevc.
        size: (width, height) in pixels, upright.
        transport: tcp, udp, or file.
        rate: pictures per second that arrived.
        declared_rate: pictures per second that the stream declares, 0 if it does not.
        first_frame: seconds from connecting to the first picture.
        decoded: pictures decoded, damaged ones included.
        damaged: pictures that arrived damaged, or build on a damaged one.
        faces: most faces in one picture; None without face detection.
        face_heights: heights in the camera's pixels of the faces in that picture.
        blind: black, covered or frozen; empty if the picture shows something.
        notes: what an operator should know of the stream, in words.
    """

    address: str
    codec: str
    size: Size
    transport: str
    rate: float
    declared_rate: float
    first_frame: float
    decoded: int
    damaged: int
    faces: int | None
    face_heights: list[int]
    blind: str
    notes: list[str]


def probe_stream(
    options: StreamOptions,
    *,
    seconds: float,
    find_faces: FindFaces | None = None,
    fit: Fit = native_size,
    clock: Clock | None = None,
) -> ProbeReport:
    """Watch a stream for `seconds` after its first picture, at five pictures per second.

    Raises SourceError if there is no picture, or the stream fails while it is watched. A file may end.
    """
    clock = clock or SystemClock()
    begun = clock.monotonic()
    with RtspSource(options, rate=_RATE, fit=fit, clock=clock) as source:
        first = _first_frame(source)
        began_at, counted = clock.monotonic(), source.counts.decoded
        findings = _Findings(find_faces, frozen_after=seconds * _FROZEN_SHARE)
        findings.add(first)
        while clock.monotonic() < began_at + seconds:
            try:
                frame = source.read(_POLL_S)
            except SourceEndedError:
                if is_network_address(options.url.reveal()):
                    raise
                break  # a short file is no failure
            if frame is not None:
                findings.add(frame)
        passed = clock.monotonic() - began_at
        info = source.info
        assert info is not None  # there was a picture
        return ProbeReport(
            address=options.where,
            codec=info.codec,
            size=first.full_size,
            transport=info.transport,
            rate=round((source.counts.decoded - counted) / passed, 2),
            declared_rate=round(info.rate, 2),
            first_frame=round(began_at - begun, 3),
            decoded=source.counts.decoded,
            damaged=source.counts.damaged,
            faces=findings.faces,
            face_heights=findings.heights,
            blind=findings.blind,
            notes=info.notes,
        )


def _first_frame(source: RtspSource) -> Frame:
    while True:
        frame = source.read(_POLL_S)
        if frame is not None:
            return frame


class _Findings:
    """What the pictures have shown so far."""

    def __init__(self, find_faces: FindFaces | None, *, frozen_after: float) -> None:
        # Imported with the first picture: without one, numpy is not needed.
        from maskwatch.capture.health import HealthLimits, HealthMonitor  # noqa: PLC0415 - see above

        self.faces: int | None = None if find_faces is None else 0
        self.heights: list[int] = []
        self.blind = ""
        self._find_faces = find_faces
        self._health = HealthMonitor(HealthLimits(hold=0.0, recover=0.0, frozen_hold=frozen_after))

    def add(self, frame: Frame) -> None:
        self.blind = self._health.observe(frame.luma, frame.moment) or ""
        if self._find_faces is None:
            return
        found = [face.scaled(frame.scale) for face in self._find_faces(frame.image)]
        if len(found) > len(self.heights):
            self.faces = len(found)
            self.heights = sorted(round(face.box.height) for face in found)
