"""Builds a camera's pipeline from the configuration, for the service and for replays alike."""

from __future__ import annotations

from pathlib import Path

from maskwatch.analysis.pipeline import Pipeline
from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig, Config, FaceSearch
from maskwatch.domain import IdSource
from maskwatch.telemetry.meter import Meter
from maskwatch.vision.attention import FaceDetecting, FaceSearching, RegionSearch, WholeSearch
from maskwatch.vision.faces import ANONYMIZE_SCORE, FaceDetector
from maskwatch.vision.masks import MaskClassifier


def build_detector(config: Config, camera: CameraConfig) -> FaceDetector:
    """Load the face detector.

    Raises WeightsError where its weights are missing or not the pinned ones.
    """
    weights = Path(config.face_weights) if config.face_weights else None
    return FaceDetector(min(ANONYMIZE_SCORE, camera.detector_score), weights=weights)


def build_search(
    config: Config, camera: CameraConfig, detector: FaceDetecting | None = None
) -> FaceSearching:
    """Load what finds the camera's faces; a `detector` that is passed searches the whole picture.

    Raises WeightsError as `build_detector` does.
    """
    if detector is not None or camera.face_search is FaceSearch.WHOLE:
        return WholeSearch(detector or build_detector(config, camera))
    weights = Path(config.face_weights) if config.face_weights else None
    return RegionSearch(min(ANONYMIZE_SCORE, camera.detector_score), weights=weights)


def build_pipeline(
    config: Config,
    camera: CameraConfig,
    *,
    ids: IdSource,
    meter: Meter,
    clock: Clock | None = None,
    gated: bool = True,
    detector: FaceDetecting | None = None,
) -> Pipeline:
    """Load the detector (unless one is passed) and the mask model; return the camera's pipeline.

    Raises:
        WeightsError: the face detector's weights are missing or not the pinned ones.
        ManifestError, ModelError: the mask model cannot be used.
    """
    return Pipeline(
        camera,
        search=build_search(config, camera, detector),
        classifier=MaskClassifier(Path(config.model) if config.model else None),
        ids=ids,
        meter=meter,
        clock=clock,
        gated=gated,
    )
