"""The one metrics registry: what every process counted, summed across restarts.

A child sends cumulative values since its own beginning, with the epoch that the supervisor gave
this incarnation of it. Counters and histograms of an ended incarnation are kept and added to the
next one's, so they never fall; its gauges go with it. What is not in the catalogue, or not the
child's own camera, is left out and counted. All calls may come from any thread.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as PrometheusCollector

from maskwatch.telemetry.catalogue import METRICS, SAMPLES_REJECTED, Metric, MetricKind, Owner, problem
from maskwatch.telemetry.meter import HistogramSample, Labels, Meter, MetricsSnapshot, Sample

__all__ = ["Collector"]

_MOST_VALUES = 500  # of one label that the configuration closes, for one child
_LONGEST = 64  # characters of such a value: the longest name that a configuration may give


@dataclass(frozen=True, slots=True)
class _Distribution:
    """A histogram's counts per bucket (not summed up) and the sum of its values."""

    counts: tuple[int, ...]
    total: float

    def plus(self, other: _Distribution) -> _Distribution:
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return _Distribution(counts, self.total + other.total)


class _Values:
    """Values by metric name, then by labels."""

    def __init__(self) -> None:
        self.numbers: dict[str, dict[Labels, float]] = {}
        self.distributions: dict[str, dict[Labels, _Distribution]] = {}

    def add(self, name: str, labels: Labels, value: float) -> None:
        series = self.numbers.setdefault(name, {})
        if METRICS[name].kind is MetricKind.GAUGE:
            series[labels] = value
        else:
            series[labels] = series.get(labels, 0.0) + value

    def spread(self, name: str, labels: Labels, value: _Distribution) -> None:
        series = self.distributions.setdefault(name, {})
        series[labels] = series[labels].plus(value) if labels in series else value

    def absorb(self, other: _Values, *, gauges: bool = True) -> None:
        """Add the counters and histograms of `other`, and take its gauges over if asked."""
        for name, series in other.numbers.items():
            if gauges or METRICS[name].kind is not MetricKind.GAUGE:
                for labels, value in series.items():
                    self.add(name, labels, value)
        for name, spreads in other.distributions.items():
            for labels, distribution in spreads.items():
                self.spread(name, labels, distribution)


@dataclass
class _Child:
    """One process over all its incarnations; `zeros` are the series that it may yet count.

    `known` are the values of labels that the configuration closes, as far as they were seen.
    """

    owner: Owner
    epoch: int
    zeros: _Values
    known: dict[str, set[str]]
    alive: bool = True
    present: _Values = field(default_factory=_Values)
    past: _Values = field(default_factory=_Values)

    def learn(self) -> None:
        """Add zeros for zones and sinks that are new: each counts under every closed label."""
        seen = {name: set(values) for name, values in self.known.items()}
        for name, series in self.present.numbers.items():
            opened = [label.name for label in METRICS[name].labels if label.values is None]
            for labels in series:
                for label, value in labels:
                    if label in opened:
                        seen.setdefault(label, set()).add(value)
        if seen != self.known:
            self.known = seen
            self.zeros.absorb(_zeros(self.owner, seen))

    def end(self) -> None:
        """Keep what the present incarnation counted, and forget its gauges."""
        self.past.absorb(self.present, gauges=False)
        self.present = _Values()
        self.alive = False


class Collector(PrometheusCollector):
    """Holds every process's values, and gives them to prometheus_client when scraped.

    `own` is the supervisor's own meter, to be used by one thread only; `publish_own` takes over
    what it holds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[str, _Child] = {}
        self._own = _Values()
        self._own_zeros = _zeros(Owner.SUPERVISOR, {})
        self.own = Meter()

    # --- what comes in ----------------------------------------------------------------------------

    def update(
        self, child: str, *, process: str, camera: str, epoch: int, snapshot: MetricsSnapshot
    ) -> None:
        """Take a child's cumulative values.

        `child` is a stable key of the process over all its incarnations, `process` and `camera`
        what its metrics must be labelled with, `epoch` a number that rises with each incarnation.
        A snapshot of an earlier incarnation than the newest comes too late and is left out.
        """
        with self._lock:
            known = self._children.get(child)
            if known is None:
                known = self._children[child] = _new_child(Owner(process), camera, epoch)
            values = _accept(snapshot, process, camera, _Vocabulary(known.known))
            if epoch < known.epoch or (epoch == known.epoch and not known.alive):
                return
            if epoch > known.epoch:
                known.end()
                known.epoch, known.alive = epoch, True
            known.present = values
            known.learn()

    def ended(self, child: str) -> None:
        """Note that a process has ended: its gauges go, its counters stay."""
        with self._lock:
            if child in self._children:
                self._children[child].end()

    def forget(self, child: str) -> None:
        """Drop a process for good: its camera is no longer configured."""
        with self._lock:
            self._children.pop(child, None)

    def publish_own(self) -> None:
        """Take over the supervisor's own values as they stand."""
        values = _accept(self.own.snapshot(), Owner.SUPERVISOR, camera="")
        with self._lock:
            self._own = values

    # --- what goes out ----------------------------------------------------------------------------

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the catalogue that has a value."""
        total = self._sum()
        for metric in METRICS.values():
            if metric.name in total.numbers or metric.name in total.distributions:
                yield _family(metric, total)

    def describe(self) -> Iterable[Family]:
        """Return nothing: the registry need not collect to know the names."""
        return ()

    def _sum(self) -> _Values:
        total = _Values()
        with self._lock:
            total.absorb(self._own_zeros)
            for child in self._children.values():
                for part in (child.zeros, child.past, child.present):
                    total.absorb(part)
            total.absorb(self._own)
        return total


# --- what is taken ----------------------------------------------------------------------------------


class _Vocabulary:
    """The values of labels that the configuration closes, such as zones: old ones, and some new.

    Without a bound a worker that was taken over could fill the memory of the supervisor with them.
    """

    def __init__(self, known: Mapping[str, set[str]]) -> None:
        self._known = {name: set(values) for name, values in known.items()}

    def has(self, sample: Sample | HistogramSample) -> bool:
        """Return whether there is room for a sample's values; each is cameras' or bounded."""
        labels = dict(sample.labels)
        opened = [label.name for label in METRICS[sample.name].labels if label.values is None]
        return all(self._takes(name, labels[name]) for name in opened if name != "camera")

    def _takes(self, name: str, value: str) -> bool:
        values = self._known.setdefault(name, set())
        if value not in values and (len(values) >= _MOST_VALUES or len(value) > _LONGEST):
            return False
        values.add(value)
        return True


def _accept(
    snapshot: MetricsSnapshot, process: str, camera: str, words: _Vocabulary | None = None
) -> _Values:
    """Return the values that the catalogue knows, with the count of those that it does not."""
    values = _Values()
    rejected = 0
    for sample in snapshot.samples:
        if _fits(sample, process, camera) and _sane(sample) and (not words or words.has(sample)):
            values.add(sample.name, sample.labels, sample.value)
        else:
            rejected += 1
    for histogram in snapshot.histograms:
        known = _fits(histogram, process, camera) and (not words or words.has(histogram))
        if known and _shaped(histogram):
            distribution = _Distribution(histogram.counts, histogram.total)
            values.spread(histogram.name, histogram.labels, distribution)
        else:
            rejected += 1
    if rejected:
        values.add(SAMPLES_REJECTED, (("process", process),), rejected)
    return values


def _fits(sample: Sample | HistogramSample, process: str, camera: str) -> bool:
    """Return whether the catalogue knows a sample, and it is this process's to send."""
    labels = dict(sample.labels)
    if problem(sample.name, labels) or METRICS[sample.name].owner != process:
        return False
    return not camera or labels.get("camera", camera) == camera


def _sane(sample: Sample) -> bool:
    kind = METRICS[sample.name].kind
    if kind is MetricKind.HISTOGRAM or not math.isfinite(sample.value):
        return False
    return kind is MetricKind.GAUGE or sample.value >= 0


def _shaped(sample: HistogramSample) -> bool:
    metric = METRICS[sample.name]
    if metric.kind is not MetricKind.HISTOGRAM or sample.bounds != metric.buckets:
        return False
    return len(sample.counts) == len(metric.buckets) + 1 and min(sample.counts) >= 0


# --- series that count nothing yet ------------------------------------------------------------------


def _new_child(owner: Owner, camera: str, epoch: int) -> _Child:
    """Return a child with the zeros of its own counters, and of the supervisor's about it."""
    about: dict[str, set[str]] = {"process": {owner}, "camera": {camera}}
    zeros = _zeros(Owner.SUPERVISOR, about, about_child=True)
    known = {"camera": {camera}} if camera else {}
    zeros.absorb(_zeros(owner, known))
    return _Child(owner, epoch, zeros, known)


def _zeros(owner: Owner, known: Mapping[str, set[str]], *, about_child: bool = False) -> _Values:
    """Return 0 for every counter and histogram of an owner whose labels have known values.

    So a first event is a rise that `rate` sees, and a query has data before it. Metrics about a
    child (with a label `process`) are another matter than those of the owner itself.
    """
    zeros = _Values()
    for metric in METRICS.values():
        about = owner is Owner.SUPERVISOR and any(label.name == "process" for label in metric.labels)
        if metric.owner is owner and metric.kind is not MetricKind.GAUGE and about is about_child:
            for labels in _combinations(metric, known):
                if metric.kind is MetricKind.COUNTER:
                    zeros.add(metric.name, labels, 0.0)
                else:
                    nothing = _Distribution((0,) * (len(metric.buckets) + 1), 0.0)
                    zeros.spread(metric.name, labels, nothing)
    return zeros


def _combinations(metric: Metric, known: Mapping[str, set[str]]) -> Iterator[Labels]:
    """Yield every set of labels whose values are known; none if a label is the operator's."""
    choices: list[Sequence[tuple[str, str]]] = []
    for label in sorted(metric.labels, key=lambda each: each.name):
        values = sorted(known[label.name]) if label.name in known else label.values
        choices.append([(label.name, value) for value in values or ()])
    yield from product(*choices)


# --- what is given ----------------------------------------------------------------------------------


def _family(metric: Metric, total: _Values) -> Family:
    names = [label.name for label in metric.labels]
    if metric.kind is MetricKind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=names)
        for labels, distribution in total.distributions[metric.name].items():
            buckets = _cumulative(metric.buckets, distribution.counts)
            histogram.add_metric(_ordered(labels, names), buckets, distribution.total)
        return histogram
    # prometheus_client adds _total itself.
    family: CounterMetricFamily | GaugeMetricFamily = (
        CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=names)
        if metric.kind is MetricKind.COUNTER
        else GaugeMetricFamily(metric.name, metric.help, labels=names)
    )
    for labels, value in total.numbers[metric.name].items():
        family.add_metric(_ordered(labels, names), value)
    return family


def _ordered(labels: Labels, names: list[str]) -> list[str]:
    values = dict(labels)
    return [values[name] for name in names]


def _cumulative(bounds: tuple[float, ...], counts: tuple[int, ...]) -> list[tuple[str, float]]:
    edges = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    return list(zip(edges, map(float, accumulate(counts)), strict=True))
