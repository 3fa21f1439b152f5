"""The catalogue keeps to Prometheus's rules for names, and says what does not belong to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from maskwatch.telemetry import catalogue
from maskwatch.telemetry.catalogue import METRICS, Metric, MetricKind, problem

EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


@EVERY
def test_a_name_has_the_prefix_and_the_ending_of_its_kind_and_unit(metric: Metric) -> None:
    assert metric.name.startswith("maskwatch_")
    assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
    assert metric.unit in {"", "seconds", "bytes"}
    assert metric.name.removesuffix("_total").endswith(metric.unit)


@EVERY
def test_help_is_a_sentence_and_buckets_ascend(metric: Metric) -> None:
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


@EVERY
def test_every_label_is_closed_by_the_catalogue_or_by_the_configuration(metric: Metric) -> None:
    opened = {label.name for label in metric.labels if label.values is None}
    assert opened <= {"camera", "zone", "sink", "model", "version"}
    assert "pid" not in {label.name for label in metric.labels}


def test_every_constant_names_a_metric() -> None:
    names = [value for value in vars(catalogue).values() if isinstance(value, str)]
    named = [value for value in names if value.startswith("maskwatch_")]
    assert sorted(named) == sorted(METRICS)


def test_importing_the_meter_needs_no_prometheus_library() -> None:
    code = "import sys, maskwatch.telemetry.meter; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("maskwatch_frames_total", {"camera": "a", "fate": "decoded"}, ""),
        ("maskwatch_frame_total", {}, "unknown metric"),
        ("maskwatch_frames_total", {"camera": "a"}, "expected camera, fate"),
        ("maskwatch_frames_total", {"camera": "a", "fate": "eaten"}, "not one of decoded"),
        ("maskwatch_alerts_unstored", {"camera": "a"}, "expected none"),
    ],
)
def test_a_sample_outside_the_catalogue_is_described(
    name: str, labels: dict[str, str], words: str
) -> None:
    found = problem(name, labels)
    assert (words in found) if words else found == ""
