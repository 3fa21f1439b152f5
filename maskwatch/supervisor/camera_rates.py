"""Has the workers analyse fewer frames while this machine is too slow for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from maskwatch.clock import Clock
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Heartbeat, SetRate
from maskwatch.supervisor.child import ManagedChild, Phase
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.fair_rates import CameraLoad, FairRates
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.process_monitor import ProcessMonitor
from maskwatch.supervisor.timeouts import Timeouts


class CameraRates:
    """Measures the live cameras, and sends each worker the rate that `FairRates` decides."""

    def __init__(
        self,
        children: ChildProcesses,
        monitor: ProcessMonitor,
        metrics: SupervisorMetrics,
        timeouts: Timeouts,
        clock: Clock,
    ) -> None:
        self._fair = FairRates()
        self._children = children
        self._monitor = monitor
        self._metrics = metrics
        self._timeouts = timeouts
        self._clock = clock
        self._judged_from: float | None = None

    def update(self, *, all_started: bool) -> None:
        """Decide the rates, and send those that a worker does not have yet."""
        now = self._clock.monotonic()
        if self._judged_from is None:
            self._judged_from = now + self._timeouts.settle if all_started else None
        elif now >= self._judged_from:
            loads = (self._load(worker, heartbeat) for worker, heartbeat in self._live())
            self._fair.update([load for load in loads if load is not None], now)
        self._apply()

    def _live(self) -> Iterator[tuple[ManagedChild, Heartbeat]]:
        for worker in self._children.workers.values():
            heartbeat = worker.heartbeat
            live = heartbeat is not None and heartbeat.state is CameraState.LIVE and heartbeat.rate
            if heartbeat is not None and live and worker.phase is Phase.RUNNING:
                yield worker, heartbeat

    def _load(self, worker: ManagedChild, heartbeat: Heartbeat) -> CameraLoad | None:
        pid = worker.pid or 0
        usage = self._monitor.usages.get(pid)
        if usage is None:  # it has only just been started
            return None
        return CameraLoad(
            camera=worker.kind.camera,
            process=pid,
            asked=asked_rate(worker),
            rate=heartbeat.rate,
            analysed=heartbeat.frames,
            lost=heartbeat.lost,
            cpu=usage.cpu,
            waited=usage.waited,
        )

    def _apply(self) -> None:
        rates = {worker.kind.camera: heartbeat.rate for worker, heartbeat in self._live()}
        for name, worker in self._children.workers.items():
            asked, current = asked_rate(worker), rates.get(name)
            self._metrics.camera_rate(name, asked, current)
            rate = self._fair.rate(name, asked)
            if current is not None and current != rate:
                worker.send(SetRate(rate=rate))  # again each time, until a heartbeat confirms it


def asked_rate(worker: ManagedChild) -> float:
    """Return the frames per second that the configuration of this worker asks for."""
    (camera,) = worker.configuration.config.cameras
    return camera.rate
