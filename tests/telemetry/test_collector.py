"""Values of all processes in one registry: counters never fall, gauges go with their process."""

from __future__ import annotations

import subprocess

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from maskwatch.telemetry import catalogue
from maskwatch.telemetry.collector import Collector
from maskwatch.telemetry.meter import HistogramBuffer, HistogramSample, Meter, MetricsSnapshot, Sample

FRAMES = (catalogue.FRAMES, {"camera": "door", "fate": "decoded"})


def value(collector: Collector, name: str, labels: dict[str, str] | None = None) -> float | None:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry.get_sample_value(name, labels or {})


def worker(frames: float = 0, present: float | None = None) -> Meter:
    meter = Meter()
    meter.add(catalogue.FRAMES, FRAMES[1], by=frames)
    if present is not None:
        meter.set(catalogue.PEOPLE_PRESENT, present, {"camera": "door"})
    return meter


def update(collector: Collector, epoch: int, meter: Meter, camera: str = "door") -> None:
    """As the supervisor does it: the snapshot has crossed a socket."""
    snapshot = msgspec.json.decode(msgspec.json.encode(meter.snapshot()), type=MetricsSnapshot)
    collector.update(f"worker:{camera}", process="worker", camera=camera, epoch=epoch, snapshot=snapshot)


def test_a_counter_continues_where_the_last_incarnation_ended() -> None:
    collector = Collector()
    update(collector, 1, worker(10))
    update(collector, 1, worker(25))
    update(collector, 2, worker(3))
    assert value(collector, *FRAMES) == 28


def test_a_counter_stays_and_a_gauge_goes_when_the_process_has_ended() -> None:
    collector = Collector()
    update(collector, 1, worker(10, present=2))
    assert value(collector, catalogue.PEOPLE_PRESENT, {"camera": "door"}) == 2
    collector.ended("worker:door")
    assert value(collector, *FRAMES) == 10
    assert value(collector, catalogue.PEOPLE_PRESENT, {"camera": "door"}) is None


def test_a_snapshot_that_comes_after_the_end_is_not_counted_twice() -> None:
    collector = Collector()
    update(collector, 1, worker(10))
    collector.ended("worker:door")
    update(collector, 1, worker(12))
    assert value(collector, *FRAMES) == 10
    update(collector, 2, worker(1))
    update(collector, 1, worker(99))
    assert value(collector, *FRAMES) == 11


def test_a_removed_camera_loses_its_series() -> None:
    collector = Collector()
    update(collector, 1, worker(10))
    collector.own.set_state(catalogue.CAMERA_STATE, "state", "live", {"camera": "door"})
    collector.forget("worker:door")
    collector.own.forget("camera", "door")
    collector.publish_own()
    registry = CollectorRegistry()
    registry.register(collector)
    assert b'camera="door"' not in generate_latest(registry)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), min_size=1, max_size=30))
def test_counters_are_monotonic_and_exact_over_any_run_of_restarts(
    steps: list[tuple[bool, int]],
) -> None:
    collector, epoch, counted, total, before = Collector(), 1, 0, 0, 0.0
    for restart, frames in steps:
        if restart:
            epoch, counted = epoch + 1, 0
        counted += frames
        total += frames
        update(collector, epoch, worker(counted))
        now = value(collector, *FRAMES)
        assert now is not None
        assert now >= before
        before = now
    assert before == total


def test_histograms_are_summed_across_restarts_with_cumulative_buckets() -> None:
    collector = Collector()
    for epoch in (1, 2):
        meter = Meter()
        for seconds in (0.004, 0.03, 5.0):
            meter.observe(catalogue.DETECT_SECONDS, seconds, labels={"camera": "door"})
        update(collector, epoch, meter)
    labels = {"camera": "door"}
    bucket = f"{catalogue.DETECT_SECONDS}_bucket"
    assert value(collector, bucket, {**labels, "le": "0.005"}) == 2
    assert value(collector, bucket, {**labels, "le": "1"}) == 4
    assert value(collector, bucket, {**labels, "le": "+Inf"}) == 6
    assert value(collector, f"{catalogue.DETECT_SECONDS}_count", labels) == 6
    assert value(collector, f"{catalogue.DETECT_SECONDS}_sum", labels) == pytest.approx(10.068)


def test_a_histogram_filled_by_another_thread_is_taken_over() -> None:
    collector, meter, tally = Collector(), Meter(), HistogramBuffer(catalogue.DECODE_SECONDS)
    for expected in (1, 2):
        tally.observe(0.004)
        meter.take(tally, {"camera": "door"})
        update(collector, 1, meter)
        assert value(collector, f"{catalogue.DECODE_SECONDS}_count", {"camera": "door"}) == expected
    bucket = f"{catalogue.DECODE_SECONDS}_bucket"
    assert value(collector, bucket, {"camera": "door", "le": "0.002"}) == 0
    assert value(collector, f"{catalogue.DECODE_SECONDS}_sum", {"camera": "door"}) == 0.008


def test_a_value_on_a_bound_belongs_to_that_bucket() -> None:
    collector, meter = Collector(), Meter()
    meter.observe(catalogue.DETECT_SECONDS, 0.1, labels={"camera": "door"})
    update(collector, 1, meter)
    bucket = f"{catalogue.DETECT_SECONDS}_bucket"
    assert value(collector, bucket, {"camera": "door", "le": "0.1"}) == 1
    assert value(collector, bucket, {"camera": "door", "le": "0.05"}) == 0


def test_counters_with_known_labels_are_zero_from_the_start() -> None:
    collector = Collector()
    update(collector, 1, Meter())
    assert value(collector, catalogue.DISCONNECTS, {"camera": "door", "reason": "silent"}) == 0
    restarts = {"process": "worker", "camera": "door", "reason": "hung"}
    assert value(collector, catalogue.RESTARTS, restarts) == 0
    assert value(collector, catalogue.RELOADS, {"result": "refused"}) == 0
    assert value(collector, f"{catalogue.DETECT_SECONDS}_count", {"camera": "door"}) == 0


def test_a_new_zone_or_sink_has_a_zero_under_every_closed_label() -> None:
    collector, people, recorder = Collector(), Meter(), Meter()
    people.add(catalogue.PEOPLE, {"camera": "door", "zone": "hall", "verdict": "mask"})
    update(collector, 1, people)
    recorder.set(catalogue.SINK_READY, 1, {"sink": "mqtt"})
    collector.update("r", process="recorder", camera="", epoch=1, snapshot=recorder.snapshot())
    unknown = {"camera": "door", "zone": "hall", "verdict": "unknown"}
    assert value(collector, catalogue.PEOPLE, unknown) == 0
    assert value(collector, catalogue.PEOPLE, unknown | {"verdict": "mask"}) == 1
    assert value(collector, catalogue.ALERTS, {"sink": "mqtt", "fate": "refused"}) == 0
    assert value(collector, f"{catalogue.CAPTURE_TO_PUBLISH_SECONDS}_count", {"sink": "mqtt"}) == 0


@pytest.mark.parametrize(
    "sample",
    [
        Sample("maskwatch_made_up_total", (), 1),
        Sample(catalogue.FRAMES, (("camera", "door"), ("fate", "eaten")), 1),
        Sample(catalogue.FRAMES, (("camera", "another"), ("fate", "decoded")), 1),
        Sample(catalogue.FRAMES, (("camera", "door"), ("fate", "decoded"), ("pid", "7")), 1),
        Sample(catalogue.FRAMES, (("camera", "door"), ("fate", "decoded")), -1),
        Sample(catalogue.FRAMES, (("camera", "door"), ("fate", "decoded")), float("nan")),
        Sample(catalogue.DETECT_SECONDS, (("camera", "door"),), 1),
        Sample(catalogue.OUTBOX_PENDING, (("sink", "mqtt"),), 1),
        HistogramSample(catalogue.DETECT_SECONDS, (("camera", "door"),), (1.0,), (1, 1), 2.0),
        HistogramSample(
            catalogue.FRAMES, (("camera", "door"), ("fate", "decoded")), (1.0,), (1, 1), 2.0
        ),
    ],
)
def test_samples_that_a_child_may_not_send_are_left_out_and_counted(
    sample: Sample | HistogramSample,
) -> None:
    collector = Collector()
    snapshot = (
        MetricsSnapshot(samples=(sample,))
        if isinstance(sample, Sample)
        else MetricsSnapshot(histograms=(sample,))
    )
    collector.update("worker:door", process="worker", camera="door", epoch=1, snapshot=snapshot)
    assert value(collector, catalogue.SAMPLES_REJECTED, {"process": "worker"}) == 1
    assert value(collector, *FRAMES) == 0


def test_an_enum_gauge_is_one_in_exactly_one_state() -> None:
    collector = Collector()
    for state in ("connecting", "live"):
        collector.own.set_state(catalogue.CAMERA_STATE, "state", state, {"camera": "door"})
    collector.publish_own()
    states = {
        state: value(collector, catalogue.CAMERA_STATE, {"camera": "door", "state": state})
        for state in next(iter(catalogue.METRICS[catalogue.CAMERA_STATE].labels[1:])).values or ()
    }
    assert {state for state, one in states.items() if one == 1} == {"live"}
    assert {one for state, one in states.items() if state != "live"} == {0}


def full_collector() -> Collector:
    """Every metric of the catalogue with a value, from a worker, the recorder and the supervisor."""
    collector = Collector()
    meters = {owner: Meter() for owner in catalogue.Owner}
    open_values = {"camera": "door", "zone": "hall", "sink": "mqtt", "model": "m", "version": "1"}
    for metric in catalogue.METRICS.values():
        labels = {label.name: (label.values or (open_values[label.name],))[0] for label in metric.labels}
        meter = collector.own if metric.owner is catalogue.Owner.SUPERVISOR else meters[metric.owner]
        match metric.kind:
            case catalogue.MetricKind.COUNTER:
                meter.add(metric.name, labels)
            case catalogue.MetricKind.GAUGE:
                meter.set(metric.name, 1, labels)
            case catalogue.MetricKind.HISTOGRAM:
                meter.observe(metric.name, 0.1, labels=labels)
    for owner, camera in (("worker", "door"), ("recorder", "")):
        snapshot = meters[catalogue.Owner(owner)].snapshot()
        collector.update(owner, process=owner, camera=camera, epoch=1, snapshot=snapshot)
    collector.publish_own()
    return collector


def test_every_metric_of_the_catalogue_is_served_and_accepted_by_promtool() -> None:
    registry = CollectorRegistry()
    registry.register(full_collector())
    text = generate_latest(registry)
    for metric in catalogue.METRICS.values():
        assert f"# TYPE {metric.name} {metric.kind}\n".encode() in text
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_number_of_zones_that_a_child_invents_is_limited() -> None:
    collector = Collector()
    for turn in range(5):
        meter = Meter()
        for number in range(400):
            zone = f"{turn} {number}" if number else "x" * 1000
            meter.add(catalogue.VIOLATIONS, {"camera": "door", "verdict": "no_mask", "zone": zone})
        update(collector, turn, meter)
    served = [family for family in collector.collect() if family.name == "maskwatch_violations"]
    zones = {sample.labels["zone"] for family in served for sample in family.samples}
    assert 100 < len(zones) < 1000
    assert max(map(len, zones)) < 100
    assert (value(collector, catalogue.SAMPLES_REJECTED, {"process": "worker"}) or 0) > 1000
