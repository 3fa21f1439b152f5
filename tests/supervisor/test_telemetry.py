"""The registry as the supervisor uses it: served, moved, and true across restarts of children."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from maskwatch.clock import SystemClock
from maskwatch.config.schema import MetricsConfig
from maskwatch.domain import CameraState, CameraStatus
from maskwatch.errors import PortInUseError
from maskwatch.lab.broker import free_port
from maskwatch.supervisor.child import ChildKind
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.telemetry.catalogue import Owner
from maskwatch.telemetry.http import HealthStatus


@pytest.fixture
def telemetry() -> Iterator[SupervisorMetrics]:
    def well() -> HealthStatus:
        return HealthStatus(ok=True, detail="well")

    made = SupervisorMetrics(SystemClock(), healthy=well, ready=well)
    yield made
    made.stop()


def scrape(telemetry: SupervisorMetrics) -> str:
    telemetry.publish()
    with urllib.request.urlopen(f"{telemetry.url}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_one_state_of_a_camera_is_1_and_all_others_0(telemetry: SupervisorMetrics) -> None:
    telemetry.serve(MetricsConfig(port=0))
    for state in (CameraState.BACKOFF, CameraState.LIVE):
        telemetry.status(CameraStatus("hall", state, "", SystemClock().now()))
    lines = [
        line for line in scrape(telemetry).splitlines() if line.startswith("maskwatch_camera_state{")
    ]
    assert len(lines) == len(CameraState)
    assert [line for line in lines if line.endswith(" 1.0")] == [
        'maskwatch_camera_state{camera="hall",state="live"} 1.0'
    ]


def test_serving_moves_to_another_port_and_can_be_switched_off(telemetry: SupervisorMetrics) -> None:
    telemetry.serve(MetricsConfig(port=0))
    first = telemetry.url
    telemetry.serve(MetricsConfig(port=0))
    assert telemetry.url != first
    assert "maskwatch_build_info" in scrape(telemetry)
    telemetry.serve(MetricsConfig(enabled=False))
    assert telemetry.url == ""


def test_another_address_of_the_same_port_is_taken(telemetry: SupervisorMetrics) -> None:
    port = free_port()
    telemetry.serve(MetricsConfig(host="127.0.0.1", port=port))
    telemetry.serve(MetricsConfig(host="0.0.0.0", port=port))
    assert "0.0.0.0" in telemetry.url


def test_a_port_in_use_leaves_the_old_one_served(telemetry: SupervisorMetrics) -> None:
    telemetry.serve(MetricsConfig(port=0))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUseError):
        telemetry.serve(MetricsConfig(port=taken.getsockname()[1]))
    assert "maskwatch_build_info" in scrape(telemetry)


def test_commands_are_counted_by_known_verbs_only(telemetry: SupervisorMetrics) -> None:
    telemetry.serve(MetricsConfig(port=0))
    telemetry.commanded("enable", ok=True)
    telemetry.commanded("drop tables", ok=False)
    text = scrape(telemetry)
    assert 'maskwatch_commands_total{result="ok",verb="enable"} 1.0' in text
    assert 'maskwatch_commands_total{result="refused",verb="other"} 1.0' in text
    assert "drop" not in text


@dataclass
class Child:
    """What is told of a child: who it is, and which process."""

    kind: ChildKind
    pid: int


def test_gauges_of_a_process_vanish_with_it_and_its_processor_time_stays(
    telemetry: SupervisorMetrics,
) -> None:
    telemetry.serve(MetricsConfig(port=0))
    for camera in ("hall", "yard"):
        child = Child(ChildKind("maskwatch.worker", Owner.WORKER, camera), os.getpid())
        telemetry.began(child)  # type: ignore[arg-type]  # no keeper, but all that is read of one
        telemetry.measure(child)  # type: ignore[arg-type]
    gauges = ("maskwatch_process_resident_memory_bytes", "maskwatch_process_open_fds")
    series = [
        f'{name}{{camera="{camera}",process="worker"}}' for name in gauges for camera in ("hall", "yard")
    ]
    assert [name in scrape(telemetry) for name in series] == [True, True, True, True]
    telemetry.ended(child, "killed")  # type: ignore[arg-type]
    text = scrape(telemetry)
    assert [name in text for name in series] == [True, False, True, False]
    assert 'maskwatch_process_cpu_seconds_total{camera="yard",process="worker"}' in text
    assert 'maskwatch_process_restarts_total{camera="yard",process="worker",reason="killed"} 1.0' in text
