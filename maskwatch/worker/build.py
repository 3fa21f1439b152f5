"""Puts a camera's pipeline together from the configuration: the same for daemon and replay."""

from __future__ import annotations

from pathlib import Path

from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import IdSource
from maskwatch.telemetry.meter import Meter
from maskwatch.vision.faces import ANONYMIZE_SCORE, FaceDetector
from maskwatch.vision.masks import MaskClassifier
from maskwatch.worker.pipeline import Pipeline

__all__ = ["build_pipeline"]


def build_pipeline(
    config: Config,
    camera: CameraConfig,
    *,
    ids: IdSource,
    meter: Meter,
    clock: Clock | None = None,
    gated: bool = True,
) -> Pipeline:
    """Load the detector and the mask model and return the camera's pipeline.

    Raises:
        WeightsError: the face detector's weights are missing or not the pinned ones.
        ManifestError, ModelError: the mask model cannot be used.

    """
    weights = Path(config.face_weights) if config.face_weights else None
    return Pipeline(
        camera,
        detector=FaceDetector(min(ANONYMIZE_SCORE, camera.detector_score), weights=weights),
        classifier=MaskClassifier(Path(config.model) if config.model else None),
        ids=ids,
        meter=meter,
        clock=clock,
        gated=gated,
    )
