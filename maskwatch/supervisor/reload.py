"""Reads the configuration again and changes over to it; an invalid file changes nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from maskwatch.config.diff import Difference, difference, with_restart_keys_of
from maskwatch.config.load import load, load_available
from maskwatch.config.partial import PartialConfig
from maskwatch.errors import ConfigError, MaskwatchError, TemporaryError
from maskwatch.ipc.control import ReloadDone
from maskwatch.supervisor.child_controller import ChildController
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.http_servers import HttpServers
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.model_check import check_model
from maskwatch.supervisor.systemd import SystemdNotifier
from maskwatch.telemetry import logs
from maskwatch.temporary import is_temporary

_log = logging.getLogger(__name__)
_SETTLE_TIMEOUT = 20.0


class Reloader:
    """Reloads one at a time; further requests wait.

    Attributes:
        path: the configuration file.
        problem: why the newest reload was refused, "" if it succeeded.
    """

    def __init__(
        self,
        path: Path,
        loaded: PartialConfig,
        *,
        children: ChildProcesses,
        controller: ChildController,
        http: HttpServers,
        metrics: SupervisorMetrics,
        notifier: SystemdNotifier,
    ) -> None:
        self.path = path
        self.problem = ""
        self._loaded = loaded
        self._children = children
        self._controller = controller
        self._http = http
        self._metrics = metrics
        self._notifier = notifier
        self._lock = asyncio.Lock()

    async def reload(self, *, wait: bool = True) -> ReloadDone:
        """Read, check and apply the file; with `wait`, until the affected children have restarted."""
        async with self._lock:
            self._notifier.reloading()
            try:
                return await self._reload(wait=wait)
            finally:
                self._notifier.ready()

    async def complete(self) -> None:
        """Apply what has become available of a configuration that was loaded in part.

        Raises:
            TemporaryError: something is still not available.
        """
        async with self._lock:
            if self._loaded.unavailable:
                await self._apply_what_came()
        if self._loaded.unavailable:
            raise TemporaryError(self._loaded.in_words)

    async def _apply_what_came(self) -> None:
        try:
            new = await asyncio.to_thread(load_available, self.path, self._loaded.text)
            if new.unavailable != self._loaded.unavailable:
                await self._apply(new)
        except ConfigError as error:  # such as a secret of two lines, which can still be corrected
            raise TemporaryError(str(error)) from error

    async def _reload(self, *, wait: bool) -> ReloadDone:
        try:
            # In a thread: the file of a hundred cameras takes a moment, and the main loop must turn.
            new = await asyncio.to_thread(load, self.path)
            changes = await self._apply(PartialConfig(new))
        except (MaskwatchError, OSError, RuntimeError, MemoryError) as error:
            if not isinstance(error, MaskwatchError) and not is_temporary(error):
                raise
            return self._refused(error)
        self.problem = ""
        self._metrics.reload_ended(ok=True)
        _log.info("configuration reloaded: %s", changes.in_words)
        if wait:
            await self._settle(changes)
        return ReloadDone(ok=True, summary=changes.in_words)

    async def _apply(self, loaded: PartialConfig) -> Difference:
        old, new = self._children.config, loaded.usable
        changes = difference(old, new)
        new = with_restart_keys_of(new, old)
        if (old.model, old.face_weights) != (new.model, new.face_weights):
            await check_model(new)
        self._http.move(changes, old, new)
        if changes.log:
            logs.setup(new.log, "supervisor")
        self._loaded = loaded
        self._controller.hold(loaded.held_cameras, loaded.held_sinks)
        self._controller.apply(changes, new)
        return changes

    def _refused(self, error: Exception) -> ReloadDone:
        problems = tuple(map(str, getattr(error, "problems", ()))) or (str(error),)
        self.problem = "; ".join(problems)
        self._metrics.reload_ended(ok=False)
        for problem in problems:
            _log.error("the configuration was not reloaded: %s", problem)
        summary = "nothing was changed: " + (
            "the file has problems" if isinstance(error, ConfigError) else "it cannot be used"
        )
        return ReloadDone(ok=False, summary=summary, problems=problems)

    async def _settle(self, changes: Difference) -> None:
        deadline = time.monotonic() + _SETTLE_TIMEOUT
        while not self._controller.settled(changes) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
