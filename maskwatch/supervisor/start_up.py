"""The daemon's start: the recorder first, then the workers, until each camera has its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from maskwatch.capture.reachability import ReachabilityProbe
from maskwatch.clock import Clock
from maskwatch.config.schema import Config
from maskwatch.errors import (
    ConfigError,
    DependencyError,
    SinkError,
    StoreError,
    StoreLockedError,
    StoreTooNewError,
)
from maskwatch.supervisor.child import ChildEvents, ManagedChild
from maskwatch.supervisor.child_controller import ChildController
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.model_check import check_model
from maskwatch.supervisor.timeouts import Timeouts

_POLL_INTERVAL = 0.05
# Exit codes of a recorder that would refuse again; a crash or a lack of resources may pass.
_REFUSALS = frozenset(
    kind.exit_code
    for kind in (ConfigError, StoreError, StoreTooNewError, StoreLockedError, DependencyError, SinkError)
)


class StartUp(ChildEvents):
    """Starts the workers once the recorder runs, or takes too long.

    `recorder_failed` is called with the exit code of a recorder that never became ready.

    Attributes:
        complete: whether the check of the models has ended and every worker has been started.
    """

    def __init__(
        self,
        config: Config,
        children: ChildProcesses,
        controller: ChildController,
        timeouts: Timeouts,
        clock: Clock,
        *,
        recorder_failed: Callable[[int], None],
    ) -> None:
        self.complete = False
        self._config = config
        self._children = children
        self._controller = controller
        self._timeouts = timeouts
        self._clock = clock
        self._recorder_failed = recorder_failed
        self._probe = ReachabilityProbe(config.cameras)
        self._start_workers_by = clock.monotonic() + timeouts.recorder_start
        self._workers_started = False
        self._models_checked = False
        self._recorder_was_ready = False

    async def probe_cameras(self) -> None:
        """Find the cameras that are reachable, whose workers are then started first."""
        await self._probe.run(self._timeouts.recorder_start)

    async def check_models(self) -> None:
        """Check the models in a process of its own, once those that watch have been started.

        Raises:
            ModelError: a model does not match its manifest.
            TemporaryError: they could not be checked now.
        """
        while not self._workers_started:
            await asyncio.sleep(_POLL_INTERVAL)
        try:
            await check_model(self._config)
        finally:
            # What cannot be checked now must not delay the cameras: each worker checks its models too.
            self._models_checked = True

    def tick(self) -> bool:
        """Start the workers if it is time to; return True once, when the start is complete."""
        if not self._workers_started:
            late = self._clock.monotonic() > self._start_workers_by
            if self._children.recorder_runs or late:
                self._workers_started = True
                self._controller.start_workers(first=self._probe.reachable)
            return False
        if self.complete or not self._models_checked:
            return False
        self.complete = self._children.all_started
        return self.complete

    def changed(self, child: ManagedChild) -> None:
        """Record that the recorder has been ready."""
        if child is self._children.recorder and self._children.recorder_runs:
            self._recorder_was_ready = True

    def ended(self, child: ManagedChild, code: int, reason: str) -> None:  # noqa: ARG002 - the base's
        """Report a recorder that refuses to start; it has logged why, and a retry cannot help."""
        if child is self._children.recorder and not self._recorder_was_ready and code in _REFUSALS:
            self._recorder_failed(code)
