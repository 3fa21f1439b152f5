"""The metrics of every process, summed across restarts.

A child sends cumulative values since its start, with the epoch of its run, which the
supervisor assigned. Counters and histograms of an ended run are kept and added to the next
one's, so that they never fall; its gauges are dropped. Samples outside the catalogue, or of another
camera than the child's, are rejected and counted. All methods may be called from any thread.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as PrometheusCollector

from maskwatch.telemetry.catalogue import METRICS, SAMPLES_REJECTED, Metric, MetricKind, Owner, problem
from maskwatch.telemetry.meter import HistogramSample, Labels, Meter, MetricsSnapshot, Sample

_MAX_VALUES = 500  # of one label whose values the configuration determines, for one child
_MAX_LENGTH = 64  # of such a value, in characters: the longest name in a configuration


@dataclass(frozen=True, slots=True)
class _Distribution:
    """A histogram's counts per bucket (not cumulative) and the sum of its values."""

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

    def add_distribution(self, name: str, labels: Labels, value: _Distribution) -> None:
        series = self.distributions.setdefault(name, {})
        series[labels] = series[labels].plus(value) if labels in series else value

    def absorb(self, other: _Values, *, gauges: bool = True) -> None:
        """Add the counters and histograms of `other`, and replace the gauges if `gauges`."""
        for name, series in other.numbers.items():
            if gauges or METRICS[name].kind is not MetricKind.GAUGE:
                for labels, value in series.items():
                    self.add(name, labels, value)
        for name, histogram_series in other.distributions.items():
            for labels, distribution in histogram_series.items():
                self.add_distribution(name, labels, distribution)


@dataclass
class _Child:
    """One process over all its runs.

    `zeros` holds 0 for every series with known labels, `label_values` the values seen so far of
    labels that the configuration determines.
    """

    owner: Owner
    epoch: int
    zeros: _Values
    label_values: dict[str, set[str]]
    alive: bool = True
    current: _Values = field(default_factory=_Values)
    past: _Values = field(default_factory=_Values)

    def learn(self) -> None:
        """Add zeros for new zones and sinks under every closed label."""
        seen = {name: set(values) for name, values in self.label_values.items()}
        for name, series in self.current.numbers.items():
            opened = [label.name for label in METRICS[name].labels if label.values is None]
            for labels in series:
                for label, value in labels:
                    if label in opened:
                        seen.setdefault(label, set()).add(value)
        if seen != self.label_values:
            self.label_values = seen
            self.zeros.absorb(_zeros(self.owner, seen))

    def end(self) -> None:
        """Keep the counts of the current run, and drop its gauges."""
        self.past.absorb(self.current, gauges=False)
        self.current = _Values()
        self.alive = False


class Collector(PrometheusCollector):
    """Holds the values of every process for prometheus_client to scrape.

    `own` is the supervisor's own meter, for use by one thread only; `publish_own` copies its values.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[str, _Child] = {}
        self._own = _Values()
        self._own_zeros = _zeros(Owner.SUPERVISOR, {})
        self.own = Meter()

    # --- input ----------------------------------------------------------------------------

    def update(
        self, child: str, *, process: str, camera: str, epoch: int, snapshot: MetricsSnapshot
    ) -> None:
        """Replace a child's cumulative values.

        `child` is a stable key of the process over all its runs, `process` and `camera`
        are the required labels, `epoch` rises with each run. A late snapshot of an earlier
        run is ignored.
        """
        with self._lock:
            state = self._children.get(child)
            if state is None:
                state = self._children[child] = _new_child(Owner(process), camera, epoch)
            values = _accept(snapshot, process, camera, _LabelValues(state.label_values))
            if epoch < state.epoch or (epoch == state.epoch and not state.alive):
                return
            if epoch > state.epoch:
                state.end()
                state.epoch, state.alive = epoch, True
            state.current = values
            state.learn()

    def ended(self, child: str) -> None:
        """Drop the gauges of a process that has ended; its counters stay."""
        with self._lock:
            if child in self._children:
                self._children[child].end()

    def forget(self, child: str) -> None:
        """Drop a process whose camera is no longer configured."""
        with self._lock:
            self._children.pop(child, None)

    def publish_own(self) -> None:
        """Copy the current values of the supervisor's own meter."""
        values = _accept(self.own.snapshot(), Owner.SUPERVISOR, camera="")
        with self._lock:
            self._own = values

    # --- output ----------------------------------------------------------------------------

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the catalogue that has a value."""
        total = self._sum()
        for metric in METRICS.values():
            if metric.name in total.numbers or metric.name in total.distributions:
                yield _family(metric, total)

    def describe(self) -> Iterable[Family]:
        """Return nothing, so that registering does not collect."""
        return ()

    def _sum(self) -> _Values:
        total = _Values()
        with self._lock:
            total.absorb(self._own_zeros)
            for child in self._children.values():
                for part in (child.zeros, child.past, child.current):
                    total.absorb(part)
            total.absorb(self._own)
        return total


# --- accepted samples ----------------------------------------------------------------------------------


class _LabelValues:
    """The accepted values of labels that the configuration determines, such as zones.

    Their number is bounded, so that a compromised worker cannot exhaust the supervisor's memory.
    """

    def __init__(self, known: Mapping[str, set[str]]) -> None:
        self._known = {name: set(values) for name, values in known.items()}

    def accepts(self, sample: Sample | HistogramSample) -> bool:
        """Return whether a sample's values are known, or new ones within the bounds."""
        labels = dict(sample.labels)
        opened = [label.name for label in METRICS[sample.name].labels if label.values is None]
        return all(self._accepts_value(name, labels[name]) for name in opened if name != "camera")

    def _accepts_value(self, name: str, value: str) -> bool:
        values = self._known.setdefault(name, set())
        if value not in values and (len(values) >= _MAX_VALUES or len(value) > _MAX_LENGTH):
            return False
        values.add(value)
        return True


def _accept(
    snapshot: MetricsSnapshot, process: str, camera: str, label_values: _LabelValues | None = None
) -> _Values:
    values = _Values()
    rejected = 0
    for sample in snapshot.samples:
        if (
            _fits(sample, process, camera)
            and _is_plausible(sample)
            and (not label_values or label_values.accepts(sample))
        ):
            values.add(sample.name, sample.labels, sample.value)
        else:
            rejected += 1
    for histogram in snapshot.histograms:
        if (
            _fits(histogram, process, camera)
            and (not label_values or label_values.accepts(histogram))
            and _has_buckets(histogram)
        ):
            distribution = _Distribution(histogram.counts, histogram.total)
            values.add_distribution(histogram.name, histogram.labels, distribution)
        else:
            rejected += 1
    if rejected:
        values.add(SAMPLES_REJECTED, (("process", process),), rejected)
    return values


def _fits(sample: Sample | HistogramSample, process: str, camera: str) -> bool:
    """Return whether the catalogue allows a sample from this process."""
    labels = dict(sample.labels)
    if problem(sample.name, labels) or METRICS[sample.name].owner != process:
        return False
    return not camera or labels.get("camera", camera) == camera


def _is_plausible(sample: Sample) -> bool:
    kind = METRICS[sample.name].kind
    if kind is MetricKind.HISTOGRAM or not math.isfinite(sample.value):
        return False
    return kind is MetricKind.GAUGE or sample.value >= 0


def _has_buckets(sample: HistogramSample) -> bool:
    metric = METRICS[sample.name]
    if metric.kind is not MetricKind.HISTOGRAM or sample.bounds != metric.buckets:
        return False
    return len(sample.counts) == len(metric.buckets) + 1 and min(sample.counts) >= 0


# --- zeros ------------------------------------------------------------------


def _new_child(owner: Owner, camera: str, epoch: int) -> _Child:
    """Return a child with zeros for its own counters and the supervisor's counters about it."""
    about: dict[str, set[str]] = {"process": {owner}, "camera": {camera}}
    zeros = _zeros(Owner.SUPERVISOR, about, about_child=True)
    known = {"camera": {camera}} if camera else {}
    zeros.absorb(_zeros(owner, known))
    return _Child(owner, epoch, zeros, known)


def _zeros(owner: Owner, known: Mapping[str, set[str]], *, about_child: bool = False) -> _Values:
    """Return 0 for every counter and histogram of an owner whose labels have known values.

    Without it `rate` misses the first event. `about_child` selects the supervisor's metrics about a
    child (with a label `process`) instead of those about itself.
    """
    zeros = _Values()
    for metric in METRICS.values():
        about = owner is Owner.SUPERVISOR and any(label.name == "process" for label in metric.labels)
        if metric.owner is owner and metric.kind is not MetricKind.GAUGE and about is about_child:
            for labels in _combinations(metric, known):
                if metric.kind is MetricKind.COUNTER:
                    zeros.add(metric.name, labels, 0.0)
                else:
                    empty = _Distribution((0,) * (len(metric.buckets) + 1), 0.0)
                    zeros.add_distribution(metric.name, labels, empty)
    return zeros


def _combinations(metric: Metric, known: Mapping[str, set[str]]) -> Iterator[Labels]:
    """Yield every combination of known label values; none if a label has no known values."""
    choices: list[Sequence[tuple[str, str]]] = []
    for label in sorted(metric.labels, key=lambda each: each.name):
        values = sorted(known[label.name]) if label.name in known else label.values
        choices.append([(label.name, value) for value in values or ()])
    yield from product(*choices)


# --- metric families ----------------------------------------------------------------------------------


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
