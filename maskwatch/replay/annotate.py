"""Writes the analysed frames of a replay as a video with boxes, verdicts, evidence and zones.

Every frame goes through the anonymizer: bodies of tracked people are shown, faces are not.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np

from maskwatch.analysis.results import FrameResult, TrackView
from maskwatch.analysis.zones import ZoneMap
from maskwatch.config.schema import CameraConfig, FaceSearch, ZoneRule
from maskwatch.domain import Frame, Verdict
from maskwatch.errors import UsageError
from maskwatch.privacy.anonymize import Anonymizer
from maskwatch.privacy.draw import COLOURS, draw_box, draw_outline
from maskwatch.vision.faces import ANONYMIZE_SCORE, FaceDetector

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_CODEC = "libx264"
_MIN_SIDE = 16
_ZONE_COLOURS = {
    ZoneRule.REQUIRED: (230, 159, 0),
    ZoneRule.COUNTED: (178, 114, 0),
    ZoneRule.IGNORED: (130, 130, 130),
    ZoneRule.PRIVATE: (60, 60, 60),
}


class AnnotatedVideo:
    """An MP4 file of the analysed frames; a context manager.

    `camera`: its zones are drawn, and its rate is the video's.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path, camera: CameraConfig) -> None:
        self._rate = Fraction(camera.rate).limit_denominator(1000)
        self._zones = ZoneMap(camera)
        self._anonymizer = Anonymizer(self._zones.private)
        # A search in regions may not have seen every face that the video would show.
        regions = camera.face_search is FaceSearch.REGIONS
        self._detector = FaceDetector(ANONYMIZE_SCORE) if regions else None
        self._stream: av.VideoStream | None = None
        self._written = 0
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
        self._container = av.open(self._file, "w", format="mp4")

    def write(self, frame: Frame, result: FrameResult) -> None:
        picture = self._draw(frame, result)
        stream = self._stream or self._begin(picture)
        video = av.VideoFrame.from_ndarray(picture, format="bgr24")
        video.pts, video.time_base = self._written, 1 / self._rate
        self._written += 1
        self._container.mux(stream.encode(video))

    def _draw(self, frame: Frame, result: FrameResult) -> Image:
        people = [view.box for view in result.tracks]
        covered = people + [detection.box for detection in result.detections]
        if self._detector is not None:
            covered += [d.box.scaled(frame.scale) for d in self._detector.detect(frame.image)]
        picture, scale = self._anonymizer.picture(frame.full(), people, covered)
        for zone in self._zones.zones:
            draw_outline(picture, zone.outline, zone.name, _ZONE_COLOURS[zone.rule])
        for view in result.tracks:
            colour = COLOURS[view.verdict if view.detected else Verdict.UNKNOWN]
            draw_box(picture, view.box.scaled(scale), _label(view), colour)
        return _even(picture)

    def _begin(self, picture: Image) -> av.VideoStream:
        stream = self._container.add_stream(_CODEC, rate=self._rate)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        self._stream = stream
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._stream is not None and kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
            self._file.close()


def _even(picture: Image) -> Image:
    """Return the picture with even sides, which the encoder needs; at least the encoder's 16 px."""
    missing = [(0, max(0, _MIN_SIDE - side)) for side in picture.shape[:2]]
    if any(after for _, after in missing):
        picture = np.pad(picture, [*missing, (0, 0)])
    height, width = picture.shape[0] & ~1, picture.shape[1] & ~1
    return np.ascontiguousarray(picture[:height, :width])


def _label(view: TrackView) -> str:
    """Return the label of a face: number, verdict, evidence, why it is not reported."""
    verdict = view.verdict.value.replace("_", " ")
    parts = [f"{view.number}", verdict, f"{view.evidence:+.1f}"]
    if view.violation is not None:
        parts.append("REPORTED")
    elif view.reading is not None and view.reading.gate is not None:
        parts.append(view.reading.gate.value.replace("_", " "))
    elif view.liveness.value != "alive":
        parts.append(view.liveness.value)
    return " ".join(parts)
