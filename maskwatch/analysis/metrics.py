"""What the pipeline counts, by the catalogue's names."""

from __future__ import annotations

from maskwatch.analysis.visit import Visit
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import Verdict
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["PipelineMetrics"]


class PipelineMetrics:
    """Counts for one camera. Every zone counts from 0, so that its first person is a rise."""

    def __init__(self, meter: Meter, camera: CameraConfig, model: str) -> None:
        self._meter = meter
        self._labels = {"camera": camera.name}
        meter.set(catalogue.MODEL_INFO, 1, self._labels | {"model": model})
        for zone in ("", *(zone.name for zone in camera.zones)):
            for verdict in Verdict:
                meter.add(catalogue.PEOPLE, self._labels | {"zone": zone, "verdict": verdict}, by=0)

    def frame(self, fate: str) -> None:
        """One frame was analysed, or gated."""
        self._meter.add(catalogue.FRAMES, self._labels | {"fate": fate})

    def faces(self, count: int) -> None:
        """So many faces were found in a frame."""
        self._meter.add(catalogue.FACES, self._labels, count)

    def reading(self, result: str) -> None:
        """One face was classified, or not, for a reason."""
        self._meter.add(catalogue.READINGS, self._labels | {"result": result})

    def violation(self, visit: Visit) -> None:
        """A violation opened."""
        self._meter.add(catalogue.VIOLATIONS, self._of(visit))

    def held(self, count: int) -> None:
        """So many updates were held back by the cooldown."""
        self._meter.add(catalogue.UPDATES_HELD, self._labels, count)

    def person(self, visit: Visit) -> None:
        """A visit ended; a poster is no person."""
        if visit.motion.alive:
            self._meter.add(catalogue.PEOPLE, self._of(visit))

    def present(self, people: int, violating: int) -> None:
        """So many are in view, and so many violations are open."""
        self._meter.set(catalogue.PEOPLE_PRESENT, people, self._labels)
        self._meter.set(catalogue.VIOLATIONS_OPEN, violating, self._labels)

    def took(self, name: str, seconds: float) -> None:
        """A step took so long."""
        self._meter.observe(name, seconds, catalogue.METRICS[name].buckets, self._labels)

    def _of(self, visit: Visit) -> dict[str, str]:
        return self._labels | {"zone": visit.place.zone, "verdict": visit.verdict.value}
