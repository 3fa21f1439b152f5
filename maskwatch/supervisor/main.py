"""The supervisor: starts the children, keeps them, routes what they say, and ends everything in order.

One thread, one event loop, and nothing in it waits: what may take long (reading a configuration,
looking at a model) happens in a helper thread whose result the loop picks up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from maskwatch.clock import Clock, SystemClock
from maskwatch.config.schema import Config
from maskwatch.domain import CameraState, CameraStatus, Incident, LiveIds
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.control_client import control_socket
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    IncidentChanged,
    Metrics,
    StatusChanged,
    ToSupervisor,
)
from maskwatch.supervisor.board import Board
from maskwatch.supervisor.commands import CommandRouter
from maskwatch.supervisor.control import ControlServer
from maskwatch.supervisor.desk import Desk
from maskwatch.supervisor.family import RECORDER_SOCKET, Family
from maskwatch.supervisor.incidents import IncidentBook, Sight
from maskwatch.supervisor.keeper import Keeper, Phase
from maskwatch.supervisor.limits import Limits
from maskwatch.supervisor.metrics import Telemetry
from maskwatch.supervisor.models import check_model
from maskwatch.supervisor.notify import Notifier
from maskwatch.supervisor.process import Spawn, spawn
from maskwatch.supervisor.reload import Reloader
from maskwatch.supervisor.runtime import RuntimeDir
from maskwatch.telemetry import logs
from maskwatch.telemetry.http import Condition

__all__ = ["Supervisor", "serve"]

_log = logging.getLogger(__name__)
_STUCK = 10.0


def serve(
    config: Config, path: Path, *, limits: Limits | None = None, clock: Clock | None = None
) -> int:
    """Run the daemon until it is told to end; return its exit code.

    Args:
        config: as read from `path`.
        path: the file that a reload reads again.
        limits: how long to wait for what.
        clock: for all times.

    Raises:
        StoreLockedError: another daemon uses the runtime directory.
        PortInUseError, ConfigError: the metrics or the control socket cannot be served.
        ModelError: the model is not what its manifest says.

    """
    os.umask(0o077)
    logs.setup(config.log, "supervisor")
    supervisor = Supervisor(config, path, limits=limits or Limits(), clock=clock or SystemClock())
    return asyncio.run(supervisor.run())


class Supervisor:
    """The daemon's main process. `run` once."""

    def __init__(
        self,
        config: Config,
        path: Path,
        *,
        limits: Limits,
        clock: Clock,
        start_child: Spawn = spawn,
    ) -> None:
        self._path = path.absolute()
        self._first_config = config
        self._limits = limits
        self._clock = clock
        self._spawn = start_child
        self._notifier = Notifier()
        self._telemetry = Telemetry(clock, healthy=self.healthy, ready=self.ready)
        self._board = Board(clock.now, self._tell_status)
        self._book = IncidentBook(LiveIds(), self._tell_incident)
        self._end = asyncio.Event()
        self._failure: MaskwatchError | None = None
        self._exit_code = 0
        self._ending = False
        self._given = False
        self._workers_started = False
        self._began = clock.monotonic()
        self._last_tick = self._began
        self._due: dict[str, float] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._condition = Condition(ok=False, detail="starting")

    # --- from the first to the last ---

    async def run(self) -> int:
        """Start everything, keep it, end everything; return the exit code."""
        config = self._first_config
        loop = asyncio.get_running_loop()
        with contextlib.closing(RuntimeDir(Path(config.runtime_dir))):
            self._family = Family(
                config, self, loop, clock=self._clock, limits=self._limits, start_child=self._spawn
            )
            self._reloader = Reloader(self._path, self._family, self._telemetry, self._notifier)
            self._router = CommandRouter(self, self._limits.answer, self._count_command)
            self._desk = Desk(
                self._family, self._board, self._book, self._reloader, self._router,
                self._telemetry, self._clock, lambda: self._given,
            )  # fmt: skip
            control = ControlServer(control_socket(config.runtime_dir), self._desk.answer)
            self._watch_signals(loop)
            try:
                self._telemetry.serve(config.metrics)
                await control.start()
                self._family.start_recorder()
                checking = asyncio.create_task(self._check_model(config))
                self._keep_task(checking)
                await self._keep()
            finally:
                await self._shut_down()
                await control.stop()
                self._telemetry.stop()
                (Path(config.runtime_dir) / RECORDER_SOCKET).unlink(missing_ok=True)
                self._notifier.close()
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    def _watch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_end, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._ask_to_end, "SIGINT")
        loop.add_signal_handler(signal.SIGHUP, self._reload_in_background)
        loop.add_signal_handler(signal.SIGCHLD, self._family.reap)

    async def _keep(self) -> None:
        """Do what is due, until the end is asked for."""
        while not self._end.is_set():
            self._tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), self._limits.tick)

    async def _shut_down(self) -> None:
        """End the workers, then the recorder (which takes their last words), in bounded time."""
        self._ending = True
        self._notifier.stopping()
        self._notifier.status("ending")
        _log.info("ending: the workers first, then the recorder")
        bound = self._limits.grace + self._limits.mercy + 1.0
        self._family.stop_workers()
        await self._until(lambda: not self._family.workers_alive, bound)
        self._family.recorder.stop(self._clock.monotonic())
        await self._until(lambda: self._family.recorder.pid is None, bound)
        self._family.kill()
        await self._until(lambda: not any(keeper.pid for keeper in self._family), bound)
        for task in list(self._background):
            task.cancel()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        while not done() and self._clock.monotonic() < deadline:
            self._family.tick()
            self._family.reap()
            self._notifier.alive()
            await asyncio.sleep(0.02)

    def _ask_to_end(self, why: str) -> None:
        if self._end.is_set():
            _log.warning("asked to end again (%s): not waiting any longer", why)
            self._family.kill()
        else:
            _log.info("asked to end (%s)", why)
            self._end.set()

    def _fail(self, error: MaskwatchError) -> None:
        self._failure = self._failure or error
        self._end.set()

    # --- each tick ---

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self._last_tick = now
        self._family.reap()
        self._start_workers_when_due(now)
        self._family.tick()
        self._router.expire(now)
        if self._is_due("look", now, 1.0):
            self._look(now)
        if self._is_due("measure", now, self._limits.measure):
            self._measure(now)
        if self._notifier.watchdog and self._is_due("alive", now, self._notifier.watchdog / 4):
            self._notifier.alive()

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    def _start_workers_when_due(self, now: float) -> None:
        """Start them when the recorder is ready, or takes its time; READY when each has a worker."""
        recorder_ready = self._family.recorder.phase is Phase.RUNNING
        if not self._workers_started and self._model_is_sound:
            if recorder_ready or now - self._began > self._limits.head_start:
                self._workers_started = True
                self._family.start_workers()
        elif self._workers_started and not self._given and self._family.all_given:
            self._given = True
            self._notifier.ready()
            _log.info("every camera has been given its worker")

    _model_is_sound = False

    async def _check_model(self, config: Config) -> None:
        try:
            await asyncio.to_thread(check_model, config)
            self._model_is_sound = True
        except MaskwatchError as error:
            self._fail(error)

    def _look(self, now: float) -> None:
        """Compare how things are with what people, systemd and /readyz were told."""
        sights = [
            Sight(self._board[name], keeper.policy.distrusted)
            for name, keeper in self._family.workers.items()
        ]
        self._book.look(sights, self._family.config.supervision, now, self._clock.now())
        for name, keeper in self._family.workers.items():
            if keeper.beat is not None and keeper.beat.last_frame is not None:
                self._telemetry.frame(name, keeper.beat.last_frame.timestamp())
        self._telemetry.publish()
        self._condition = self._present_condition()
        if self._given:
            self._notifier.status(self._condition.detail)

    def _measure(self, now: float) -> None:
        self._telemetry.measure_self(os.getpid())
        ceiling = self._family.config.supervision.worker_megabytes << 20
        for keeper in self._family:
            vitals = self._telemetry.measure(keeper)
            is_worker = keeper is not self._family.recorder
            if vitals and is_worker and keeper.phase is Phase.RUNNING and vitals.resident > ceiling:
                _log.warning(
                    "the %s uses %d MiB, more than %d: renewing it",
                    keeper.kind,
                    vitals.resident >> 20,
                    ceiling >> 20,
                )
                keeper.renew(now, "memory")

    # --- how it is ---

    def healthy(self) -> Condition:
        """Whether the main loop turns; from any thread."""
        still = self._clock.monotonic() - self._last_tick
        if still > _STUCK and not self._ending:
            return Condition(ok=False, detail=f"the main loop has stood still for {still:.0f} s")
        return Condition(ok=True, detail="the main loop turns")

    def ready(self) -> Condition:
        """Whether cameras are watched and violations stored; from any thread."""
        healthy = self.healthy()
        return self._condition if healthy.ok else healthy

    def _present_condition(self) -> Condition:
        wanted = [s for s in self._board.all if s.state is not CameraState.DISABLED]
        live = [s for s in wanted if s.state in (CameraState.LIVE, CameraState.BLIND)]
        words = [f"{len(live)} of {len(wanted)} cameras live"]
        words += [f"{s.camera}: {s.state}" for s in wanted if s not in live][:5]
        recording = self._family.recorder.phase is Phase.RUNNING
        words += [] if recording else ["the recorder does not run"]
        words += ["still starting"] if not self._given else []
        return Condition(
            ok=self._given and recording and (bool(live) or not wanted), detail="; ".join(words)
        )

    # --- what the family tells (FamilyEvents) ---

    def began(self, keeper: Keeper) -> None:
        """A process was started."""
        self._telemetry.began(keeper)

    def heard(self, keeper: Keeper, message: ToSupervisor) -> None:
        """A child said something that is not about its own health."""
        match message:
            case Metrics():
                self._telemetry.counted(keeper, message.snapshot)
            case CommandResult():
                self._router.done(message)
            case Command() if keeper is self._family.recorder:
                self._router.run(message, self._send_recorder, self._clock.monotonic())
            case _:
                _log.error(
                    "the %s sent a %s, which is not its to say", keeper.kind, type(message).__name__
                )

    def changed(self, keeper: Keeper) -> None:
        """A keeper's phase changed, or a heartbeat came."""
        if keeper.kind.camera:
            if keeper.kind.camera in self._family.workers:
                self._board.look(keeper)
        elif keeper.phase is Phase.RUNNING and keeper.beat is None:
            self._board.retell()
            self._book.retell()

    def ended(self, keeper: Keeper, code: int, reason: str) -> None:
        """A process ended."""
        self._telemetry.ended(keeper, reason)
        if keeper.kind.camera and keeper.kind.camera not in self._family.workers:
            self._board.forget(keeper.kind.camera)
            self._telemetry.forget(keeper)
        never_ready = keeper is self._family.recorder and reason == "start_failed"
        if never_ready and not self._recorder_worked and code > 1 and not self._end.is_set():
            # It has said why; trying again would say the same.
            self._exit_code = code
            self._end.set()

    @property
    def _recorder_worked(self) -> bool:
        return self._family.recorder.restarts > 0

    def _tell_status(self, status: CameraStatus) -> None:
        _log.info("%s", status.state, extra={"camera": status.camera, "reason": status.reason})
        self._telemetry.status(status)
        self._send_recorder(StatusChanged(status=status))

    def _tell_incident(self, incident: Incident) -> None:
        word = "ended" if incident.ended else "began"
        _log.warning(
            "incident %s: %s",
            word,
            incident.kind,
            extra={
                "camera": incident.camera, "incident": str(incident.id), "reason": incident.reason,
            },
        )  # fmt: skip
        self._send_recorder(IncidentChanged(incident=incident))

    def _send_recorder(self, message: msgspec.Struct) -> None:
        # While it is away nothing is lost: a new recorder is told everything again.
        if self._family.recorder.phase is Phase.RUNNING:
            self._family.recorder.send(message)

    # --- commands (Executor) and reloads ---

    def switch(self, camera: str, *, on: bool) -> str:
        """Watch a camera, or stop."""
        return self._family.switch(camera, on=on)

    def pass_on(self, command: Command) -> str:
        """Give a command to the child that it is for."""
        if command.verb == "acknowledge":
            taken = self._family.recorder.send(command)
            return "" if taken else "the recorder does not run"
        keeper = self._family.workers.get(command.target)
        if keeper is None:
            return f"there is no camera {command.target!r}"
        return "" if keeper.send(command) else f"the camera {command.target} has no running process"

    def reload(self, done: Callable[[bool, str], None]) -> None:
        """Reload in the background."""

        async def reload_and_say() -> None:
            result = await self._reloader.reload()
            done(result.ok, result.summary)

        self._keep_task(asyncio.create_task(reload_and_say()))

    def _reload_in_background(self) -> None:
        self.reload(lambda _ok, _summary: None)

    def _keep_task(self, task: asyncio.Task[None]) -> None:
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _count_command(self, verb: str, ok: bool) -> None:  # noqa: FBT001 - a callback
        self._telemetry.commanded(verb, ok=ok)
