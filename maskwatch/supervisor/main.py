"""The supervisor: starts the children, keeps them running, and ends everything in order.

One thread and one event loop, which never blocks: what may take long (reading a configuration,
checking a model) happens in a helper thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskwatch.clock import Clock, SystemClock
from maskwatch.config.partial import PartialConfig
from maskwatch.ipc.control import control_socket
from maskwatch.ipc.messages import Command
from maskwatch.sandbox.lockdown import lock_down_supervisor
from maskwatch.supervisor.ack_page import AckPageServer
from maskwatch.supervisor.camera_monitor import CameraMonitor
from maskwatch.supervisor.camera_rates import CameraRates
from maskwatch.supervisor.child_controller import ChildController
from maskwatch.supervisor.child_factory import recorder_socket
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.commands import CommandExecutor, CommandRouter, Reply
from maskwatch.supervisor.control_handler import ControlHandler
from maskwatch.supervisor.control_server import ControlServer
from maskwatch.supervisor.events import ChildEventRouter
from maskwatch.supervisor.http_servers import HttpServers, MetricsEndpoint
from maskwatch.supervisor.launcher import ProcessLauncher
from maskwatch.supervisor.liveness import Liveness
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.prerequisites import Attempt, Prerequisites
from maskwatch.supervisor.process import ChildProcess, Spawn
from maskwatch.supervisor.process_monitor import ProcessMonitor
from maskwatch.supervisor.readiness import Readiness
from maskwatch.supervisor.reload import Reloader
from maskwatch.supervisor.runtime_dir import RuntimeDir
from maskwatch.supervisor.start_up import StartUp
from maskwatch.supervisor.systemd import SystemdNotifier
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.supervisor.zygote import Zygote
from maskwatch.telemetry import logs

_log = logging.getLogger(__name__)
_UPDATE_INTERVAL = 1.0
_SOCKET_CHECK_INTERVAL = 5.0
_LIVENESS_INTERVAL = 7.5
_END_TICK = 0.02


def serve(
    loaded: PartialConfig, path: Path, *, timeouts: Timeouts | None = None, spawn: Spawn = ChildProcess
) -> int:
    """Run the daemon until SIGTERM or SIGINT; return its exit code.

    What is not available of the configuration yet is waited for. A reload reads `path` again. Tests pass
    their own `timeouts` and `spawn`.

    Raises:
        StoreLockedError: another daemon uses the runtime directory.
        ConfigError: metrics, acknowledge page or control socket can never be served as configured.
        ModelError: a model does not match its manifest.
    """
    os.umask(0o077)
    # Until reloads are possible, a request for one must not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logs.setup(loaded.config.log, "supervisor")
    lock_down_supervisor()
    return asyncio.run(_serve(loaded, path.absolute(), timeouts or Timeouts(), spawn))


async def _serve(loaded: PartialConfig, path: Path, timeouts: Timeouts, spawn: Spawn) -> int:
    return await Supervisor(loaded, path, timeouts, SystemClock(), spawn).run()


@dataclass
class _Periodic:
    """Work that is due every `interval` seconds."""

    interval: float
    work: Callable[[], object]
    due: float = 0.0

    def run_if_due(self, now: float) -> None:
        if now >= self.due:
            self.due = now + self.interval
            self.work()


class Supervisor:
    """The daemon's main process; to be made on the running event loop, and run once."""

    def __init__(
        self, loaded: PartialConfig, path: Path, timeouts: Timeouts, clock: Clock, spawn: Spawn
    ) -> None:
        self._config = config = loaded.usable
        self._timeouts = timeouts
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._exit_code: asyncio.Future[int] = self._loop.create_future()
        self._background: set[asyncio.Task[None]] = set()
        self._prerequisites = Prerequisites(clock)
        self._runtime_dir: RuntimeDir | None = None

        self._notifier = SystemdNotifier()
        self._readiness = Readiness(clock)
        self._liveness = Liveness(control_socket(config.runtime_dir))
        self._checking_liveness = False
        self._metrics = metrics = SupervisorMetrics(clock)
        self._zygote = Zygote(self._loop, timeouts, clock, metrics.zygote_ended)
        launcher = ProcessLauncher(self._loop, clock, spawn, self._zygote)
        self._children = children = ChildProcesses(config, launcher, timeouts, clock)
        self._controller = controller = ChildController(children, timeouts, clock)
        controller.hold(loaded.held_cameras, loaded.held_sinks)
        self._cameras = cameras = CameraMonitor(children, metrics, clock)
        self._start_up = StartUp(
            config, children, controller, timeouts, clock, recorder_failed=self._end
        )
        executor = CommandExecutor(children, controller.switch, self._start_reload)
        self._commands = CommandRouter(executor, timeouts.command, metrics.command_ended)
        router = ChildEventRouter(children, cameras, self._commands, metrics, clock)
        for subscriber in (metrics, router, cameras, self._start_up):
            children.events.subscribe(subscriber)

        self._http = HttpServers(
            MetricsEndpoint(metrics.collector, self._readiness),
            AckPageServer(clock.now, self._run_from_thread, timeouts.command + timeouts.kill_after),
        )
        self._reloader = Reloader(
            path,
            loaded,
            children=children,
            controller=controller,
            http=self._http,
            metrics=metrics,
            notifier=self._notifier,
        )
        handler = ControlHandler(
            children=children,
            controller=controller,
            cameras=cameras,
            commands=self._commands,
            reloader=self._reloader,
            http=self._http,
            start_up=self._start_up,
            clock=clock,
        )
        self._control = ControlServer(
            control_socket(config.runtime_dir),
            handler.answer,
            self._child_pids,
            children.report_misbehaviour,
        )
        self._monitor = ProcessMonitor(children, self._zygote, metrics, clock)
        self._rates = CameraRates(children, self._monitor, metrics, timeouts, clock)

    # --- from start to end -------------------------------------------------------------------------

    async def run(self) -> int:
        """Start everything, keep it running, end everything; return the exit code.

        Raises:
            StoreLockedError, ConfigError, ModelError: see `serve`.
        """
        try:
            self._start_signal_handlers()
            await self._obtain("runtime_dir", self._open_runtime_dir)
            for section, server in self._http.by_section().items():
                await self._obtain(section, partial(server.serve_first, self._config))
            self._controller.start_recorder()
            self._in_background(self._prerequisites.obtain("models", self._start_up.check_models))
            self._in_background(self._prerequisites.obtain("the configuration", self._reloader.complete))
            self._in_background(self._start_up.probe_cameras())
            await self._run_until_end()
        finally:
            self._notifier.stopping()
            self._http.stop_ack_page()
            await self._stop_children()
            for task in self._background:
                task.cancel()
            await self._control.stop()
            self._http.stop()
            self._notifier.close()
            if self._runtime_dir is not None:
                recorder_socket(self._config).unlink(missing_ok=True)
                self._runtime_dir.close()
        return await self._exit_code

    async def _obtain(self, name: str, attempt: Attempt) -> None:
        """Make the first attempt now, and further ones in the background while the daemon works."""
        if not await self._prerequisites.tried(name, attempt):
            self._in_background(self._prerequisites.obtain(name, attempt))

    async def _open_runtime_dir(self) -> None:
        """Lock the runtime directory, and listen in it.

        Raises:
            StoreLockedError: another daemon uses it.
            ConfigError: it cannot be used; the cause may be temporary.
        """
        if self._runtime_dir is None:
            self._runtime_dir = RuntimeDir(Path(self._config.runtime_dir))
        await self._control.start()

    def _start_signal_handlers(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._end_requested, "SIGTERM")
        self._loop.add_signal_handler(signal.SIGINT, self._end_requested, "SIGINT")
        self._loop.add_signal_handler(signal.SIGHUP, self._start_reload, lambda _ok, _summary: None)
        self._loop.add_signal_handler(signal.SIGCHLD, self._children.reap)

    async def _run_until_end(self) -> None:
        """Tick until an exit code is set."""
        periodic = (
            _Periodic(_UPDATE_INTERVAL, self._update),
            _Periodic(_SOCKET_CHECK_INTERVAL, self._keep_control_socket),
            _Periodic(self._timeouts.measure_interval, self._monitor.measure),
            _Periodic(self._liveness_interval, self._start_liveness_check),
        )
        while not self._exit_code.done():
            self._tick(periodic)
            await asyncio.wait([self._exit_code], timeout=self._timeouts.tick)

    async def _stop_children(self) -> None:
        """End the workers, then the recorder, which stores their last changes, in bounded time."""
        _log.info("shutting down: workers first, then the recorder")
        self._cameras.stop()
        self._zygote.stop()
        self._children.stop_workers()
        await self._tick_until(lambda: not self._children.workers_alive)
        self._children.recorder.stop(self._clock.monotonic())
        await self._tick_until(lambda: self._children.recorder.pid is None)
        self._children.kill_all()
        await self._tick_until(lambda: not self._child_pids())
        _log.info("shutdown complete")

    async def _tick_until(self, done: Callable[[], bool]) -> None:
        watchdog = _Periodic(self._liveness_interval, self._notifier.alive)
        timeout = self._timeouts.grace + self._timeouts.kill_after + 1.0
        deadline = self._clock.monotonic() + timeout
        while not done() and self._clock.monotonic() < deadline:
            self._readiness.main_loop_turned()
            self._children.tick()
            self._children.reap()
            watchdog.run_if_due(self._clock.monotonic())
            await asyncio.sleep(_END_TICK)

    def _end(self, result: int | BaseException) -> None:
        """Have the daemon end with an exit code, or with an error."""
        if self._exit_code.done():
            return
        if isinstance(result, int):
            self._exit_code.set_result(result)
        else:
            self._exit_code.set_exception(result)

    def _end_requested(self, signal_name: str) -> None:
        if self._exit_code.done():
            _log.warning("%s received again: killing all processes", signal_name)
            self._children.kill_all()
        else:
            _log.info("%s received", signal_name)
            self._end(0)

    # --- each tick ---------------------------------------------------------------------------------

    def _tick(self, periodic: tuple[_Periodic, ...]) -> None:
        now = self._clock.monotonic()
        self._readiness.main_loop_turned()
        self._children.reap()
        if self._start_up.tick():
            self._update()
            self._notifier.ready()
            _log.info("ready: every camera has been given its worker")
        self._controller.tick()
        self._children.tick()
        self._zygote.tick(wanted=self._children.config.supervision.fork_workers)
        self._commands.expire(now)
        for work in periodic:
            work.run_if_due(now)

    def _update(self) -> None:
        """Update incidents, readiness, systemd's status text and the served metrics."""
        self._cameras.update(self._missing)
        self._rates.update(all_started=self._start_up.complete)
        status = self._readiness.update(
            self._cameras.statuses.all,
            recorder_runs=self._children.recorder_runs,
            all_started=self._start_up.complete,
            store_trouble=self._children.store_trouble,
            recorder_trouble=self._children.recorder.reason,
            missing=self._prerequisites.missing,
        )
        self._notifier.status(status.detail)
        self._metrics.publish()

    @property
    def _missing(self) -> str:
        """What the daemon needs and does not have now, with the reasons."""
        recorder = self._children.recorder
        trouble = f"recorder: {recorder.reason}" if recorder.reason else ""
        return "; ".join(filter(None, (self._prerequisites.in_words, trouble)))

    def _keep_control_socket(self) -> None:
        self._in_background(self._control.stay_reachable())

    @property
    def _liveness_interval(self) -> float:
        watchdog = self._notifier.watchdog
        return min(_LIVENESS_INTERVAL, watchdog / 4) if watchdog else _LIVENESS_INTERVAL

    def _start_liveness_check(self) -> None:
        if not self._checking_liveness:
            self._checking_liveness = True
            self._in_background(self._check_liveness())

    async def _check_liveness(self) -> None:
        """Feed the watchdog if the supervisor can do its work; else systemd restarts it in time."""
        if await self._liveness.check():
            self._notifier.alive()
        else:
            _log.error("%s", self._liveness.fault)
        self._readiness.fault = self._liveness.fault
        self._checking_liveness = False

    def _child_pids(self) -> list[int]:
        pids = [self._zygote.pid, *(child.pid for child in self._children)]
        return [pid for pid in pids if pid]

    # --- in the background -------------------------------------------------------------------------

    def _start_reload(self, done: Callable[[bool, str], None]) -> None:
        async def reload() -> None:
            result = await self._reloader.reload()
            done(result.ok, result.summary)

        self._in_background(reload())

    def _run_from_thread(self, command: Command, reply: Reply) -> None:
        """Run a command; may be called from any thread."""
        now = self._clock.monotonic()
        self._loop.call_soon_threadsafe(self._commands.run, command, reply, now)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._end(error)
