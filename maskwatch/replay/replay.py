"""Runs the pipeline over a recorded file, as fast as possible, on the file's own clock.

Time comes from the file, ids from the clip's hash, the camera and the sequence; no frame is
skipped. So two runs on one machine give the same events to the byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from maskwatch.analysis.build import build_pipeline
from maskwatch.analysis.pipeline import Pipeline
from maskwatch.analysis.results import FrameResult
from maskwatch.capture.file import FileSource
from maskwatch.capture.source import StreamInfo
from maskwatch.config.schema import CameraConfig, Config, Pictures
from maskwatch.domain import Box, Change, ChangeKind, Frame, OccupancyMinute, ReplayIds
from maskwatch.errors import ConfigError, SourceError
from maskwatch.files import open_regular
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry.meter import Meter
from maskwatch.vision.attention import FaceDetecting
from maskwatch.vision.faces import analysis_size

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One frame and its result; the last step of a replay has no frame."""

    frame: Frame | None
    moment: float
    result: FrameResult


class ReplayedChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a replay's JSON.

    Attributes:
        moment: seconds of the file of the frame that caused the change.
        sequence: number of that frame among the analysed ones; None for the file's end.
        box: the subject's face in that frame, in pixels of the picture; None without a detection.
        picture: sha256 of the anonymized JPEG; "" without one.
    """

    moment: float
    sequence: int | None
    change: Change
    box: Box | None
    picture: str


class Replay:
    """One run over one file. Iterate it once.

    Args:
        clip: the file.
        config: models and weights.
        camera: rules, rate and rotation.
        start: wall time (aware) of the file's first frame; None: see `FileSource`. Schedules depend
            on it.
        gated: whether frames without motion are skipped, as in the service.
        detector: used instead of a new one.

    Attributes:
        meter: holds the metrics of the run.
        frames, analysed, opened: number of frames, of analysed ones, and of opened violations.
        minutes: the occupancy so far.
        info, start, start_is_known: as those of `FileSource`, from the first step on.

    Raises:
        SourceError: the file is missing or no video (when iterated).
        ModelError: a model cannot be used (when iterated).
    """

    def __init__(
        self,
        clip: Path,
        config: Config,
        camera: CameraConfig,
        start: datetime | None = None,
        *,
        gated: bool = True,
        detector: FaceDetecting | None = None,
    ) -> None:
        if camera.pictures is Pictures.VAULT:
            # Sealing uses a random key each time, and a replay must repeat itself to the byte.
            camera = msgspec.structs.replace(camera, pictures=Pictures.ANONYMIZED)
        self._clip, self.camera, self.start = clip, camera, start
        self.start_is_known = start is not None
        self.info: StreamInfo | None = None
        self._config, self._gated, self._detector = config, gated, detector
        self.meter = Meter()
        self.frames = self.analysed = self.opened = 0
        self.minutes: list[OccupancyMinute] = []

    def __iter__(self) -> Iterator[ReplayStep]:
        """Yield each sampled frame with its result, and a last step with what the end closes."""
        moment = 0.0
        with FileSource(
            self._clip,
            rate=self.camera.rate,
            fit=partial(analysis_size, smallest_face=self.camera.smallest_face),
            rotation=self.camera.rotation,
            start=self.start,
            max_pixels=self.camera.max_pixels,
            video_track=self.camera.video_track,
        ) as source:
            self.start, self.start_is_known = source.start, source.start_is_known
            self.info = source.info
            pipeline = self._pipeline()
            for frame in source:
                moment = frame.moment
                yield self._step(frame, moment, pipeline.process(frame))
        at = source.start + timedelta(seconds=moment)
        yield self._step(None, moment, pipeline.close(at))

    def changes(self) -> Iterator[ReplayedChange]:
        for step in self:
            yield from replayed_changes(step)

    def _pipeline(self) -> Pipeline:
        ids = ReplayIds(clip_hash(self._clip), self.camera.name)
        return build_pipeline(
            self._config,
            self.camera,
            ids=ids,
            meter=self.meter,
            gated=self._gated,
            detector=self._detector,
        )

    def _step(self, frame: Frame | None, moment: float, result: FrameResult) -> ReplayStep:
        self.frames += frame is not None
        self.analysed += result.analysed
        self.opened += sum(c.kind is ChangeKind.OPENED for c, _ in result.changes)
        self.minutes += result.minutes
        return ReplayStep(frame, moment, result)


def replayed_changes(step: ReplayStep) -> Iterator[ReplayedChange]:
    """Yield the changes of one step in the form of the JSON."""
    boxes = {view.number: view.box for view in step.result.tracks if view.detected}
    for change, picture in step.result.changes:
        yield ReplayedChange(
            moment=round(step.moment, 6),
            sequence=step.frame.sequence if step.frame else None,
            change=change,
            box=boxes.get(change.violation.track),
            picture=hashlib.sha256(picture).hexdigest() if picture else "",
        )


def clip_hash(clip: Path) -> str:
    """Return the sha256 of the file. Raises SourceError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_regular(clip) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise SourceError(f"{clip}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def default_config(clip: Path) -> Config:
    """Return the configuration of a replay without a configuration file: all defaults."""
    return Config(cameras=(CameraConfig(name="replay", url=SecretUrl(str(clip))),))


def choose_camera(config: Config, name: str | None) -> CameraConfig:
    """Return the camera of that name, or the only one.

    Raises:
        ConfigError: there is no such camera, or several and none was named.
    """
    names = [camera.name for camera in config.cameras]
    if name is None and len(names) == 1:
        return config.cameras[0]
    if name in names:
        return config.cameras[names.index(name)]
    problem = "name one with --camera" if name is None else f"there is no camera {name!r}"
    raise ConfigError(f"{problem}; the configuration has {', '.join(names)}")
