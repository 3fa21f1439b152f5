"""Cumulative metrics of one process, which the supervisor collects and serves.

A worker or the recorder holds one `Meter` and imports no Prometheus library. Names, labels and
buckets are those of the catalogue; the supervisor rejects and counts others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from maskwatch.decoding import MAX_INTEGER
from maskwatch.telemetry.catalogue import METRICS

Labels = tuple[tuple[str, str], ...]


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """The current value of a counter or gauge."""

    name: str
    labels: Labels
    value: float


class HistogramSample(msgspec.Struct, frozen=True, array_like=True):
    """A histogram: observations per bucket (not cumulative), with a last bucket up to +Inf."""

    name: str
    labels: Labels
    bounds: tuple[float, ...]
    counts: tuple[Annotated[int, Meta(ge=0, le=MAX_INTEGER)], ...]
    total: float


class MetricsSnapshot(msgspec.Struct, frozen=True):
    """All values of a meter, cumulative since its process began."""

    samples: tuple[Sample, ...] = ()
    histograms: tuple[HistogramSample, ...] = ()


class HistogramBuffer:
    """A histogram filled by another thread than the meter's; only that thread may `observe`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bounds = METRICS[name].buckets
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Meter:
    """Counters, gauges and histograms of one process; one thread at a time."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], HistogramBuffer] = {}

    def add(self, name: str, labels: Mapping[str, str] | None = None, by: float = 1.0) -> None:
        """Raise a counter by `by` (not negative)."""
        key = (name, _labels(labels))
        self._values[key] = self._values.get(key, 0.0) + by

    def set(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        self._values[name, _labels(labels)] = value

    def set_state(
        self, name: str, label: str, value: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Set an enum gauge: 1 where `label` is `value`, 0 for each other value in the catalogue."""
        (closed,) = (each for each in METRICS[name].labels if each.name == label)
        for each in closed.values or ():
            self.set(name, float(each == value), {**(labels or {}), label: each})

    def drop(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        self._values.pop((name, _labels(labels)), None)

    def forget(self, label: str, value: str) -> None:
        """Drop every series in which `label` has this value (a removed camera)."""
        pair = (label, value)
        self._values = {key: v for key, v in self._values.items() if pair not in key[1]}
        self._histograms = {key: h for key, h in self._histograms.items() if pair not in key[1]}

    def observe(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Count `value` into a histogram."""
        key = (name, _labels(labels))
        if key not in self._histograms:
            self._histograms[key] = HistogramBuffer(name)
        self._histograms[key].observe(value)

    def take(self, buffer: HistogramBuffer, labels: Mapping[str, str] | None = None) -> None:
        """Include the values of a buffer in snapshots."""
        self._histograms[buffer.name, _labels(labels)] = buffer

    def snapshot(self) -> MetricsSnapshot:
        return MetricsSnapshot(
            tuple(Sample(name, labels, value) for (name, labels), value in self._values.items()),
            tuple(
                HistogramSample(name, labels, each.bounds, tuple(each.counts), each.total)
                for (name, labels), each in self._histograms.items()
            ),
        )


def _labels(labels: Mapping[str, str] | None) -> Labels:
    return tuple(sorted(labels.items())) if labels else ()
