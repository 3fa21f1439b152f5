"""Answers the requests of the control socket: status, reload and commands."""

from __future__ import annotations

import asyncio
import logging
import os
from importlib.metadata import version
from uuid import uuid4

from msgspec.structs import replace

from maskwatch.clock import Clock
from maskwatch.ipc.control import (
    Answer,
    CameraReport,
    ChildReport,
    CommandDone,
    ReloadRequest,
    Request,
    RunCommand,
    StatusReport,
    StatusRequest,
)
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.camera_monitor import CameraMonitor
from maskwatch.supervisor.camera_rates import asked_rate
from maskwatch.supervisor.child import ManagedChild
from maskwatch.supervisor.child_controller import ChildController
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.commands import CommandRouter
from maskwatch.supervisor.http_servers import HttpServers
from maskwatch.supervisor.reload import Reloader
from maskwatch.supervisor.start_up import StartUp

_log = logging.getLogger(__name__)


class ControlHandler:
    """Reads the state of the daemon's parts, and runs commands and reloads."""

    def __init__(
        self,
        *,
        children: ChildProcesses,
        controller: ChildController,
        cameras: CameraMonitor,
        commands: CommandRouter,
        reloader: Reloader,
        http: HttpServers,
        start_up: StartUp,
        clock: Clock,
    ) -> None:
        self._children = children
        self._controller = controller
        self._cameras = cameras
        self._commands = commands
        self._reloader = reloader
        self._http = http
        self._start_up = start_up
        self._clock = clock
        self._started = clock.now()

    async def answer(self, request: Request, sender: str) -> Answer:
        """Return the answer; `sender` is who asks, in words."""
        match request:
            case StatusRequest():
                return self._status()
            case ReloadRequest():
                _log.info("reload requested", extra={"by": sender})
                return await self._reloader.reload(wait=request.wait)
            case RunCommand():
                return await self._run(request, sender)

    def _status(self) -> StatusReport:
        return StatusReport(
            version=version("maskwatch"),
            node=self._children.config.node,
            pid=os.getpid(),
            started=self._started,
            config=str(self._reloader.path),
            ready=self._start_up.complete,
            problem=self._reloader.problem,
            metrics=self._http.metrics_url,
            recorder=self._recorder(),
            cameras=tuple(self._camera(worker) for worker in self._children.workers.values()),
            incidents=self._cameras.incidents.open,
            sinks=self._children.sinks,
        )

    def _camera(self, worker: ManagedChild) -> CameraReport:
        status, heartbeat = self._cameras.statuses[worker.kind.camera], worker.heartbeat
        snooze = self._cameras.snoozes.get(status.camera)
        switched_off = self._controller.switched_off.get(status.camera)
        return CameraReport(
            name=status.camera,
            state=status.state,
            reason=status.reason,
            since=status.since,
            frames=heartbeat.frames if heartbeat else 0,
            asked_rate=asked_rate(worker),
            rate=heartbeat.rate if heartbeat else 0.0,
            last_frame=heartbeat.last_frame if heartbeat else None,
            attempt=heartbeat.attempt if heartbeat else worker.attempt,
            worker=_report(worker),
            snoozed_until=snooze.until if snooze else None,
            snoozed_at=snooze.since if snooze else None,
            snoozed_by=snooze.by if snooze else "",
            disabled_at=switched_off.at if switched_off else None,
            disabled_by=switched_off.by if switched_off else "",
        )

    def _recorder(self) -> ChildReport:
        report, trouble = _report(self._children.recorder), self._children.store_trouble
        return replace(report, detail=f"cannot store now: {trouble}") if trouble else report

    async def _run(self, request: RunCommand, sender: str) -> CommandDone:
        done: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        command = Command(
            id=f"cli-{uuid4()}",
            verb=request.verb,
            target=request.target,
            seconds=request.seconds,
            since=request.since,
            until=request.until,
            origin="cli",
            by=sender,
        )

        def reply(result: CommandResult) -> None:
            if not done.done():  # cancelled when the daemon ends
                done.set_result(result)

        self._commands.run(command, reply, self._clock.monotonic())
        result = await done
        return CommandDone(ok=result.ok, detail=result.detail, counts=result.counts)


def _report(child: ManagedChild) -> ChildReport:
    return ChildReport(
        phase=child.phase,
        pid=child.pid,
        restarts=child.restarts,
        detail=child.reason,
        sandbox=child.sandbox,
    )
