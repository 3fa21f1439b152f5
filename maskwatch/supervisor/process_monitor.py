"""Measures the daemon's processes, and limits the memory of the children."""

from __future__ import annotations

import logging
import os

from maskwatch.clock import Clock
from maskwatch.supervisor.child import ManagedChild, Phase
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.process_usage import ProcessUsage, read_usage
from maskwatch.supervisor.zygote import Zygote

_log = logging.getLogger(__name__)


class ProcessMonitor:
    """Measures every process, and renews a child that uses too much memory.

    Attributes:
        usages: the newest measurement of each child, by process id.
    """

    def __init__(
        self, children: ChildProcesses, zygote: Zygote, metrics: SupervisorMetrics, clock: Clock
    ) -> None:
        self._children = children
        self._zygote = zygote
        self._metrics = metrics
        self._clock = clock
        self.usages: dict[int, ProcessUsage] = {}

    def measure(self) -> None:
        """Measure this process, the zygote and all children; renew those that are too large."""
        own = read_usage(os.getpid())
        if own is not None:
            self._metrics.measured(None, own)
        if self._zygote.pid is not None and (usage := read_usage(self._zygote.pid)) is not None:
            self._metrics.zygote_measured(usage)
            self._zygote.measured(usage)
        usages = {}
        for child in self._children:
            usage = None if child.pid is None else read_usage(child.pid)
            if child.pid is not None and usage is not None:
                usages[child.pid] = usage
                self._metrics.measured(child, usage)
                self._renew_if_too_large(child, usage.resident)
        self.usages = usages

    def _renew_if_too_large(self, child: ManagedChild, resident: int) -> None:
        """Renew a child, unless what it has yet to deliver could not be stored now."""
        limit = self._children.config.supervision.worker_megabytes
        can_store = self._children.recorder_runs and not self._children.store_trouble
        if resident > limit << 20 and can_store and child.phase is Phase.RUNNING:
            used = resident >> 20
            _log.warning("the %s uses %d MiB, more than %d: renewing it", child.kind, used, limit)
            child.renew(self._clock.monotonic(), "memory")
