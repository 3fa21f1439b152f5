"""The registry: what the supervisor counts, and what it keeps of processes that have ended."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from maskwatch.clock import SystemClock
from maskwatch.domain import CameraState, CameraStatus
from maskwatch.supervisor.child import ChildKind
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.process_usage import read_usage
from maskwatch.telemetry.catalogue import Owner


@pytest.fixture
def metrics() -> SupervisorMetrics:
    return SupervisorMetrics(SystemClock())


def scrape(metrics: SupervisorMetrics) -> str:
    metrics.publish()
    registry = CollectorRegistry()
    registry.register(metrics.collector)
    return generate_latest(registry).decode()


def test_one_state_of_a_camera_is_1_and_all_others_0(metrics: SupervisorMetrics) -> None:
    for state in (CameraState.BACKOFF, CameraState.LIVE):
        metrics.camera_state(CameraStatus(state, "", SystemClock().now(), "hall"))
    lines = [line for line in scrape(metrics).splitlines() if line.startswith("maskwatch_camera_state{")]
    assert len(lines) == len(CameraState)
    assert [line for line in lines if line.endswith(" 1.0")] == [
        'maskwatch_camera_state{camera="hall",state="live"} 1.0'
    ]


def test_commands_are_counted_by_known_verbs_only(metrics: SupervisorMetrics) -> None:
    metrics.command_ended("enable", ok=True)
    metrics.command_ended("drop tables", ok=False)
    text = scrape(metrics)
    assert 'maskwatch_commands_total{result="ok",verb="enable"} 1.0' in text
    assert 'maskwatch_commands_total{result="refused",verb="other"} 1.0' in text
    assert "drop" not in text


@dataclass
class FakeChild:
    """The part of a `ManagedChild` that is read."""

    kind: ChildKind
    pid: int


def test_the_gauges_of_a_process_vanish_with_it_and_its_counters_stay(
    metrics: SupervisorMetrics,
) -> None:
    usage = read_usage(os.getpid())
    assert usage is not None
    for camera in ("hall", "yard"):
        child = FakeChild(ChildKind("maskwatch.worker", Owner.WORKER, camera), os.getpid())
        metrics.started(child)  # type: ignore[arg-type]  # has all that is read
        metrics.measured(child, usage)  # type: ignore[arg-type]
    gauges = ("maskwatch_process_resident_memory_bytes", "maskwatch_process_open_fds")
    series = [
        f'{name}{{camera="{camera}",process="worker"}}' for name in gauges for camera in ("hall", "yard")
    ]
    assert [name in scrape(metrics) for name in series] == [True, True, True, True]
    metrics.ended(child, -9, "killed")  # type: ignore[arg-type]
    text = scrape(metrics)
    assert [name in text for name in series] == [True, False, True, False]
    assert 'maskwatch_process_cpu_seconds_total{camera="yard",process="worker"}' in text
    assert 'maskwatch_process_restarts_total{camera="yard",process="worker",reason="killed"} 1.0' in text
