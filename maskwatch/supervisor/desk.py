"""Answers what is asked over the control socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from importlib.metadata import version
from uuid import uuid4

from msgspec.structs import replace

from maskwatch.clock import Clock
from maskwatch.ipc.control import (
    Answer,
    CameraReport,
    ChildReport,
    CommandDone,
    ReloadDone,
    ReloadRequest,
    Request,
    RunCommand,
    StatusReport,
    StatusRequest,
)
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.family import Family
from maskwatch.supervisor.keeper import Keeper
from maskwatch.supervisor.metrics import Telemetry
from maskwatch.supervisor.reload import Reloader
from maskwatch.supervisor.switchboard import Switchboard

__all__ = ["Desk"]


class Desk:
    """Knows everybody who can answer. `given` says whether every camera has its worker."""

    def __init__(
        self,
        family: Family,
        switchboard: Switchboard,
        reloader: Reloader,
        telemetry: Telemetry,
        clock: Clock,
        given: Callable[[], bool],
    ) -> None:
        self._family = family
        self._switchboard = switchboard
        self._reloader = reloader
        self._telemetry = telemetry
        self._clock = clock
        self._given = given
        self._started = clock.now()

    async def answer(self, request: Request) -> Answer:
        """Return the answer to a request."""
        match request:
            case StatusRequest():
                return self.status()
            case ReloadRequest():
                return await self._reload(request)
            case RunCommand():
                return await self._run(request)

    def status(self) -> StatusReport:
        """Return how everything is."""
        return StatusReport(
            version=version("maskwatch"),
            node=self._family.config.node,
            pid=os.getpid(),
            started=self._started,
            config=str(self._reloader.path),
            ready=self._given(),
            problem=self._reloader.problem,
            metrics=self._telemetry.url,
            recorder=self._recorder(),
            cameras=tuple(self._camera(keeper) for keeper in self._family.workers.values()),
            incidents=self._switchboard.book.open,
        )

    def _camera(self, keeper: Keeper) -> CameraReport:
        status, beat = self._switchboard.board[keeper.kind.camera], keeper.beat
        snooze = self._switchboard.snoozes.get(status.camera)
        return CameraReport(
            name=status.camera,
            state=status.state,
            reason=status.reason,
            since=status.since,
            frames=beat.frames if beat else 0,
            last_frame=beat.last_frame if beat else None,
            attempt=beat.attempt if beat else keeper.attempt,
            worker=_child(keeper),
            snoozed_until=snooze.until if snooze else None,
        )

    def _recorder(self) -> ChildReport:
        report, trouble = _child(self._family.recorder), self._family.store_trouble
        return replace(report, detail=f"cannot store now: {trouble}") if trouble else report

    async def _reload(self, request: ReloadRequest) -> ReloadDone:
        return await self._reloader.reload(wait=request.wait)

    async def _run(self, request: RunCommand) -> CommandDone:
        answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        command = Command(
            id=f"cli-{uuid4()}",
            verb=request.verb,
            target=request.target,
            seconds=request.seconds,
            origin="cli",
        )

        def reply(result: CommandResult) -> None:
            if not answer.done():
                answer.set_result(result)

        self._switchboard.router.run(command, reply, self._clock.monotonic())
        result = await answer
        return CommandDone(ok=result.ok, detail=result.detail)


def _child(keeper: Keeper) -> ChildReport:
    return ChildReport(phase=keeper.phase, pid=keeper.pid, restarts=keeper.restarts, detail=keeper.why)
