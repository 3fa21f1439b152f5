"""Reads the configuration again and goes over to it; a file that is wrong changes nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from maskwatch.config.diff import Difference, difference, with_fixed_of
from maskwatch.config.load import load
from maskwatch.config.schema import Config
from maskwatch.errors import ConfigError, MaskwatchError
from maskwatch.ipc.control import ReloadDone
from maskwatch.supervisor.ack_page import AckPageServer
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.model_check import check_model
from maskwatch.supervisor.readiness import SystemdNotifier
from maskwatch.telemetry import logs

__all__ = ["Reloader", "reopen_listeners"]

_log = logging.getLogger(__name__)
_SETTLED_WITHIN = 20.0


class Reloader:
    """Reloads one at a time; those asked for meanwhile wait their turn.

    `problem` says why the newest reload was refused, "" after one that was taken.
    """

    def __init__(
        self,
        path: Path,
        family: ChildProcesses,
        telemetry: SupervisorMetrics,
        door: AckPageServer,
        notifier: SystemdNotifier,
    ) -> None:
        self.problem = ""
        self.path = path
        self._family = family
        self._telemetry = telemetry
        self._door = door
        self._notifier = notifier
        self._turn = asyncio.Lock()

    async def reload(self, *, wait: bool = True) -> ReloadDone:
        """Read, check, compare, and touch only what changed; with `wait`, until that is done."""
        async with self._turn:
            self._notifier.reloading()
            try:
                return await self._reload(wait=wait)
            finally:
                self._notifier.ready()

    async def _reload(self, *, wait: bool) -> ReloadDone:
        try:
            # A hundred cameras take a moment to read: not on the main loop.
            new = await asyncio.to_thread(load, self.path)
            changes = await self._take_over(new)
        except MaskwatchError as error:
            return self._refused(error)
        self.problem = ""
        self._telemetry.reloaded(ok=True, count=True)
        _log.info("configuration reloaded: %s", changes.in_words)
        if wait:
            await self._settle(changes)
        return ReloadDone(ok=True, summary=changes.in_words)

    async def _take_over(self, new: Config) -> Difference:
        old = self._family.config
        changes = difference(old, new)
        new = with_fixed_of(new, old)
        if (old.model, old.face_weights) != (new.model, new.face_weights):
            await asyncio.to_thread(check_model, new)
        reopen_listeners(self._telemetry, self._door, changes, old, new)
        if changes.log:
            logs.setup(new.log, "supervisor")
        self._family.apply(changes, new)
        return changes

    def _refused(self, error: MaskwatchError) -> ReloadDone:
        problems = tuple(map(str, getattr(error, "problems", ()))) or (str(error),)
        self.problem = "; ".join(problems)
        self._telemetry.reloaded(ok=False, count=True)
        for problem in problems:
            _log.error("the configuration was not reloaded: %s", problem)
        summary = "nothing was changed: " + (
            "the file has problems" if isinstance(error, ConfigError) else "it cannot be used"
        )
        return ReloadDone(ok=False, summary=summary, problems=problems)

    async def _settle(self, changes: Difference) -> None:
        deadline = time.monotonic() + _SETTLED_WITHIN
        while not self._family.settled(changes) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


def reopen_listeners(
    telemetry: SupervisorMetrics, door: AckPageServer, changes: Difference, old: Config, new: Config
) -> None:
    """Serve at the new addresses; if one cannot be had, at both old ones.

    Raises:
        PortInUseError, ConfigError: that is so.

    """
    if changes.links:
        door.serve(new)
    try:
        if changes.metrics:
            telemetry.serve(new.metrics)
    except MaskwatchError:
        door.serve(old)
        raise
