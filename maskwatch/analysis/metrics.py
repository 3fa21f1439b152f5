"""What the pipeline counts, by the catalogue's names."""

from __future__ import annotations

from maskwatch.analysis.visit import Visit
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import Verdict
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter


class PipelineMetrics:
    """Counters of one camera. Every zone counts from 0, so that its first person is an increase."""

    def __init__(self, meter: Meter, camera: CameraConfig, model: str) -> None:
        self._meter = meter
        self._labels = {"camera": camera.name}
        meter.set(catalogue.MODEL_INFO, 1, self._labels | {"model": model})
        for zone in ("", *(zone.name for zone in camera.zones)):
            for verdict in Verdict:
                meter.add(catalogue.PEOPLE, self._labels | {"zone": zone, "verdict": verdict}, by=0)

    def frame(self, fate: str) -> None:
        """Count one frame as "analysed" or "gated"."""
        self._meter.add(catalogue.FRAMES, self._labels | {"fate": fate})

    def faces(self, count: int) -> None:
        self._meter.add(catalogue.FACES, self._labels, count)

    def reading(self, result: str) -> None:
        """Count one face as "classified", or by the reason why it was not."""
        self._meter.add(catalogue.READINGS, self._labels | {"result": result})

    def violation(self, visit: Visit) -> None:
        self._meter.add(catalogue.VIOLATIONS, self._by_zone_and_verdict(visit))

    def updates_held(self, count: int) -> None:
        self._meter.add(catalogue.UPDATES_HELD, self._labels, count)

    def visit_ended(self, visit: Visit) -> None:
        """Count a visit that ended, unless it was a poster."""
        if visit.motion.alive:
            self._meter.add(catalogue.PEOPLE, self._by_zone_and_verdict(visit))

    def present(self, people: int, violating: int) -> None:
        self._meter.set(catalogue.PEOPLE_PRESENT, people, self._labels)
        self._meter.set(catalogue.VIOLATIONS_OPEN, violating, self._labels)

    def duration(self, name: str, seconds: float) -> None:
        self._meter.observe(name, seconds, self._labels)

    def _by_zone_and_verdict(self, visit: Visit) -> dict[str, str]:
        return self._labels | {"zone": visit.zone.name, "verdict": visit.verdict.value}
