"""The supervisor: starts the children, keeps them, and ends everything in order.

One thread, one event loop, and nothing in it waits: what may take long (reading a configuration,
looking at a model) happens in a helper thread whose result the loop picks up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path

from maskwatch.capture.reachability import ReachabilityProbe
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.schema import Config
from maskwatch.errors import MaskwatchError
from maskwatch.ipc.control import control_socket
from maskwatch.ipc.messages import Command
from maskwatch.supervisor.ack_page import AckPageServer
from maskwatch.supervisor.child import ManagedChild, Phase
from maskwatch.supervisor.children import RECORDER_SOCKET, ChildProcesses
from maskwatch.supervisor.commands import Reply
from maskwatch.supervisor.control import ControlHandler, ControlServer
from maskwatch.supervisor.events import ChildEventRouter
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.model_check import check_model
from maskwatch.supervisor.readiness import Readiness, SystemdNotifier
from maskwatch.supervisor.reload import Reloader
from maskwatch.supervisor.runtime_dir import RuntimeDir
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry import logs

__all__ = ["Supervisor", "serve"]

_log = logging.getLogger(__name__)
_LOOK_EVERY = 5.0  # seconds between two looks whether the control socket is there


def serve(
    config: Config,
    path: Path,
    *,
    limits: Timeouts | None = None,
    kind: type[Supervisor] | None = None,
) -> int:
    """Run the daemon until it is told to end; return its exit code.

    Args:
        config: as read from `path`.
        path: the file that a reload reads again.
        limits: how long to wait for what.
        kind: the class to run; tests give their own.

    Raises:
        StoreLockedError: another daemon uses the runtime directory.
        PortInUseError, ConfigError: the metrics or the control socket cannot be served.
        ModelError: the model is not what its manifest says.

    """
    os.umask(0o077)
    # Until a reload is possible, asking for one must not end us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logs.setup(config.log, "supervisor")
    supervisor = (kind or Supervisor)(config, path.absolute(), limits or Timeouts(), SystemClock())
    return asyncio.run(supervisor.run())


class Supervisor:
    """The daemon's main process. To be made and run once.

    Args:
        config: what is to run.
        path: the file that it came from.
        limits: how long to wait for what.
        clock: for all times.

    """

    def __init__(self, config: Config, path: Path, limits: Timeouts, clock: Clock) -> None:
        self._config = config
        self._limits = limits
        self._clock = clock
        self._notifier = SystemdNotifier()
        self._readiness = Readiness(clock)
        self._telemetry = SupervisorMetrics(
            clock, healthy=self._readiness.healthy, ready=self._readiness.ready
        )
        self._switchboard = ChildEventRouter(
            self._telemetry,
            clock,
            answer=limits.answer,
            reload=self._reload_in_background,
            start_failed=self._recorder_failed,
        )
        self._path = path
        self._reachability = ReachabilityProbe(config.cameras)
        self._end = asyncio.Event()
        self._failure: MaskwatchError | None = None
        self._exit_code = 0
        self._model_is_sound = False
        self._workers_started = False
        self._given = False
        self._began = clock.monotonic()
        self._due: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- from the first to the last ---

    async def run(self) -> int:
        """Start everything, keep it, end everything; return the exit code."""
        with contextlib.closing(RuntimeDir(Path(self._config.runtime_dir))):
            self._family = self._make_family()
            door = self._make_door()
            self._reloader = Reloader(self._path, self._family, self._telemetry, door, self._notifier)
            self._control = ControlServer(
                control_socket(self._config.runtime_dir),
                self._desk().answer,
                lambda: [keeper.pid for keeper in self._family if keeper.pid],
            )
            self._watch_signals()
            try:
                self._telemetry.serve(self._config.metrics)
                door.serve(self._config)
                await self._control.start()
                self._family.start_recorder()
                self._in_background(self._check_model())
                self._in_background(self._reachability.run(self._limits.head_start))
                await self._keep()
            finally:
                door.stop()
                await self._shut_down()
                await self._control.stop()
                self._telemetry.stop()
                (Path(self._config.runtime_dir) / RECORDER_SOCKET).unlink(missing_ok=True)
                self._notifier.close()
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    def _make_family(self) -> ChildProcesses:
        loop = asyncio.get_running_loop()
        family = ChildProcesses(
            self._config, self._switchboard, loop, clock=self._clock, limits=self._limits
        )
        self._switchboard.family = family
        return family

    def _make_door(self) -> AckPageServer:
        loop, router, clock = asyncio.get_running_loop(), self._switchboard.router, self._clock

        def run(command: Command, reply: Reply) -> None:
            loop.call_soon_threadsafe(router.run, command, reply, clock.monotonic())

        return AckPageServer(clock.now, run, self._limits.answer + self._limits.mercy)

    def _desk(self) -> ControlHandler:
        return ControlHandler(
            self._family,
            self._switchboard,
            self._reloader,
            self._telemetry,
            self._clock,
            lambda: self._given,
        )

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_end, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._ask_to_end, "SIGINT")
        loop.add_signal_handler(signal.SIGHUP, self._reload_in_background, lambda _ok, _words: None)
        loop.add_signal_handler(signal.SIGCHLD, self._family.reap)

    async def _keep(self) -> None:
        """Do what is due, until the end is asked for."""
        while not self._end.is_set():
            self._tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), self._limits.tick)

    async def _shut_down(self) -> None:
        """End the workers, then the recorder (which takes their last words), in bounded time."""
        self._notifier.stopping()
        _log.info("ending: the workers first, then the recorder")
        self._switchboard.end()
        bound = self._limits.grace + self._limits.mercy + 1.0
        self._family.stop_workers()
        await self._until(lambda: not self._family.workers_alive, bound)
        self._family.recorder.stop(self._clock.monotonic())
        await self._until(lambda: self._family.recorder.pid is None, bound)
        self._family.kill()
        await self._until(lambda: not any(keeper.pid for keeper in self._family), bound)
        for task in list(self._tasks):
            task.cancel()
        _log.info("ended")

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        while not done() and self._clock.monotonic() < deadline:
            self._readiness.turned()
            self._family.tick()
            self._family.reap()
            self._feed_watchdog()
            await asyncio.sleep(0.02)

    def _ask_to_end(self, why: str) -> None:
        if self._end.is_set():
            _log.warning("asked to end again (%s): not waiting any longer", why)
            self._family.kill()
        else:
            _log.info("asked to end (%s)", why)
            self._end.set()

    def _recorder_failed(self, code: int) -> None:
        """It has said why; a second try would say the same."""
        if not self._end.is_set():
            self._exit_code = code
            self._end.set()

    # --- each tick ---

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self._readiness.turned()
        self._family.reap()
        self._start_workers_when_due(now)
        self._family.tick()
        self._switchboard.router.expire(now)
        if self._is_due("look", 1.0):
            self._look()
        if self._is_due("listen", _LOOK_EVERY):
            self._in_background(self._control.stay_reachable())
        if self._is_due("measure", self._limits.measure):
            self._measure(now)
        self._feed_watchdog()

    def _is_due(self, what: str, every: float) -> bool:
        now = self._clock.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    def _feed_watchdog(self) -> None:
        if self._notifier.watchdog and self._is_due("watchdog", self._notifier.watchdog / 4):
            self._notifier.alive()

    def _start_workers_when_due(self, now: float) -> None:
        """Start them when the recorder is ready, or takes its time; READY when each has a worker."""
        recording = self._family.recorder.phase is Phase.RUNNING
        if not self._workers_started and (recording or now - self._began > self._limits.head_start):
            self._workers_started = True
            self._family.start_workers(first=self._reachability.reachable)
        elif self._workers_started and not self._given and self._model_is_sound:
            self._given = self._family.all_given
            if self._given:
                self._look()
                self._notifier.ready()
                _log.info("ready: every camera has been given its worker")

    async def _check_model(self) -> None:
        try:
            await asyncio.to_thread(check_model, self._config)
            self._model_is_sound = True
        except MaskwatchError as error:
            self._failure = error
            self._end.set()

    def _look(self) -> None:
        """Compare how things are with what people, systemd and scrapers were told."""
        self._switchboard.look()
        condition = self._readiness.look(
            self._switchboard.board.all,
            recording=self._family.recorder.phase is Phase.RUNNING,
            given=self._given,
            trouble=self._family.store_trouble,
        )
        self._notifier.status(condition.detail)
        self._telemetry.publish()

    def _measure(self, now: float) -> None:
        self._telemetry.measure_self(os.getpid())
        for keeper in self._family:
            vitals = self._telemetry.measure(keeper)
            if vitals is not None:
                self._renew_if_large(keeper, vitals.resident, now)

    @property
    def ceiling(self) -> int:
        """Bytes of resident memory at which a child is renewed."""
        return self._family.config.supervision.worker_megabytes << 20

    def _renew_if_large(self, keeper: ManagedChild, resident: int, now: float) -> None:
        """Renew a child that has grown too large, while all that it still has to say can be stored."""
        recording = self._family.recorder.phase is Phase.RUNNING and not self._family.store_trouble
        if resident > self.ceiling and recording and keeper.phase is Phase.RUNNING:
            used, most = resident >> 20, self.ceiling >> 20
            _log.warning("the %s uses %d MiB, more than %d: renewing it", keeper.kind, used, most)
            keeper.renew(now, "memory")

    # --- reloads ---

    def _reload_in_background(self, done: Callable[[bool, str], None]) -> None:
        async def reload() -> None:
            result = await self._reloader.reload()
            done(result.ok, result.summary)

        self._in_background(reload())

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
