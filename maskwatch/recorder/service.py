"""The recorder: wires the store, the workers, the sinks and the supervisor into one loop.

Everything here runs on the main thread, which alone uses the database. Sinks have threads of
their own and speak through queues.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from maskwatch.alerts.sink import Sink
from maskwatch.clock import Clock
from maskwatch.config.schema import Config
from maskwatch.domain import (
    CameraState,
    Change,
    Incident,
    OccupancyMinute,
    Snooze,
)
from maskwatch.errors import StoreError
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    Configure,
    Heartbeat,
    IncidentChanged,
    Metrics,
    Ready,
    SnoozeChanged,
    StatusChanged,
    Stop,
    ToChild,
    WorkerMisbehaved,
)
from maskwatch.ipc.peer_credentials import run_identity
from maskwatch.recorder.commands import CommandHandler, ForwardedCommands
from maskwatch.recorder.current_state import load_current_state
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.maintenance import Maintenance
from maskwatch.recorder.monitoring import IncidentDetector, RecorderMetrics
from maskwatch.recorder.sinks import SinkDeliveries
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.store_guard import OpenDatabase, StoreGuard
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import WorkerConnections, WorkerEvents, listen
from maskwatch.store.database import Store
from maskwatch.store.record import Entry, subject_id
from maskwatch.store.statements import interruptions
from maskwatch.telemetry.meter import Meter

__all__ = ["MakeSinks", "Recorder"]

_log = logging.getLogger(__name__)

MakeSinks = Callable[[Config], Sequence[Sink]]

_TURN = 0.25
_LONGEST_WHY = 200
_LOOK_EVERY = 5.0  # seconds between two looks whether the socket is there
_GOODBYE = 2.0  # most seconds for what is out to come back when we are told to stop


class Recorder:
    """Serves until it is told to stop or the supervisor is gone."""

    def __init__(
        self,
        uplink: SupervisorChannel,
        configure: Configure,
        open_database: OpenDatabase,
        *,
        make_sinks: MakeSinks,
        clock: Clock,
    ) -> None:
        """Open everything, and begin to listen and to deliver.

        Raises:
            StoreError: the database or the socket cannot be had.

        """
        self._uplink = uplink
        self._config = configure.config
        self._socket = Path(configure.recorder)
        self._make_sinks = make_sinks
        self._clock = clock
        self._since = clock.now()
        self._run = run_identity()
        self._meter = Meter()
        self._loop = EventLoop(clock)
        self._memory = UnstoredBuffer()
        self._grace: float | None = None
        sinks = list(make_sinks(configure.config))
        self._custody = StoreGuard(
            open_database,
            [sink.name for sink in sinks],
            meter=self._meter,
            clock=clock,
            alive=self._beat,
            replaced=self._database_replaced,
        )
        cameras = [camera.name for camera in self._config.cameras]
        self._standing = load_current_state(self._store, cameras, clock.now())
        self._commands = ForwardedCommands(self._loop.wake)
        self._silence = SnoozeManager(self._store, self._memory, clock, self._snoozed)
        self._intake = Intake(
            self._memory, self._standing, clock=clock, meter=self._meter, covers=self._silence.covers
        )
        self._clerk = CommandHandler(
            self._commands, self._intake, self._standing, self._silence, self._news
        )
        self._workers = WorkerConnections(
            listen(self._socket),
            self._loop,
            self._intake,
            WorkerEvents(self._minute, self._clerk.deliver, self._distrust),
            run=self._run,
            key=configure.token,
            clock=clock,
        )
        self._gauges = RecorderMetrics(self._meter, clock)
        left_changes, left_incidents = self._store.left_open(self._run)
        known = [each for each in self._standing.open_incidents if each not in left_incidents]
        self._worries = IncidentDetector(clock, self.add_incident, known)
        self._housekeeping = Maintenance(
            configure.config.store.retention,
            self._store.newest(),
            clock=clock,
            meter=self._meter,
        )
        self._interrupt(left_changes, left_incidents)
        if self._custody.repaired:
            self._worries.database_replaced(str(self._custody.repaired))
        self._dispatch = SinkDeliveries(
            self._standing,
            self._memory,
            self._commands,
            self._loop.wake,
            clock=clock,
            meter=self._meter,
        )
        self._set_timers()
        for snooze in self._silence.running:
            self._snoozed(snooze)
        self._dispatch.start(sinks)

    def _stay_reachable(self) -> None:
        """Listen anew if somebody removed the socket: a worker that begins finds nobody else."""
        if self._socket.exists():
            return
        _log.error("the socket %s was removed: listening anew", self._socket)
        try:
            self._workers.listen_at(listen(self._socket))
        except StoreError as error:
            _log.error("%s", error)

    def _interrupt(self, changes: Sequence[Change], incidents: Sequence[Incident] = ()) -> None:
        """Close what nobody will close any more."""
        for entry in interruptions(changes, incidents, self._clock.now()):
            ids = {"violation": str(subject_id(entry.subject))}
            _log.warning("it was left open, and is closed as interrupted", extra=ids)
            self._intake.add(entry, lambda _: None)

    @property
    def _store(self) -> Store:
        return self._custody.store

    def _set_timers(self) -> None:
        self._loop.watch(self._uplink, self._hear)
        self._loop.every(1.0, self._beat)
        self._loop.every(5.0, self._measure)
        self._loop.every(10.0, self._close_orphaned)
        self._loop.every(_LOOK_EVERY, self._stay_reachable)
        self._uplink.send(Ready())
        self._beat()

    # --- what arrives -------------------------------------------------------------------------------

    def _hear(self) -> None:
        for message in self._uplink.messages():
            self._obey(message)
        self._uplink.flush()

    def _obey(self, message: ToChild) -> None:
        match message:
            case Configure():
                self._configure(message)
            case Stop():
                self._grace = message.grace
            case Command():
                self._uplink.send(self._clerk.execute(self._store, message))
            case CommandResult():
                self._commands.done(message)
            case StatusChanged():
                self._dispatch.camera_changed(message.status)
            case IncidentChanged():
                self.add_incident(message.incident)

    def _configure(self, message: Configure) -> None:
        before, self._config = self._config, message.config
        self._housekeeping.change(message.config.store.retention)
        self._store.reserve.wanted = message.config.store.reserve_megabytes << 20
        self._standing.keep_cameras({camera.name for camera in message.config.cameras})
        if _told_by_sinks(before) != _told_by_sinks(message.config):
            self._stop_sinks(_GOODBYE)
            sinks = list(self._make_sinks(message.config))
            self._store.sinks = tuple(sink.name for sink in sinks)
            self._dispatch.start(sinks)

    def _stop_sinks(self, timeout: float) -> None:
        for courier in self._dispatch.stop(timeout):
            with self._custody.trouble():
                courier.write(self._store)

    def _snoozed(self, snooze: Snooze) -> None:
        self._dispatch.snooze_changed(snooze)
        self._uplink.send(SnoozeChanged(snooze=snooze))

    def _news(self) -> None:
        self._dispatch.news()

    def _distrust(self, pid: int, why: str) -> None:
        """Have the supervisor replace a worker that broke the rules."""
        self._uplink.send(WorkerMisbehaved(pid=pid, reason=why[:_LONGEST_WHY]))

    def _minute(self, minute: OccupancyMinute) -> None:
        self._intake.add_minute(minute)
        self._dispatch.occupancy_counted(minute)

    def add_incident(self, incident: Incident) -> None:
        """Store and deliver an incident of the supervisor's or of our own."""
        entry = Entry(incident, None, f"{self._run}/supervisor", self._clock.now())
        self._intake.add(entry, lambda _: None)

    def _database_replaced(self, why: str) -> None:
        self._housekeeping.begin_anew()
        if why:
            self._worries.database_replaced(why)
        self._dispatch.news()

    # --- the loop -----------------------------------------------------------------------------------

    def serve(self) -> None:
        """Work until told to stop, or until the supervisor is gone; then close everything."""
        while self._grace is None and not self._uplink.ended:
            busy = self._housekeeping.busy or self._intake.pressing
            self._loop.turn(0.0 if busy else _TURN)
            self._work()
            self._keep_house()
        self._close(self._grace if self._grace is not None else 0.5)

    def _work(self) -> None:
        with self._custody.trouble():
            news = self._intake.commit(self._store)
            self._workers.flow(running=self._intake.empty)
            if self._intake.empty and not self._memory:
                self._interrupt(self._workers.left_open(self._store))
            if self._intake.empty:
                news |= self._silence.turn(self._store)
            self._commands.route(self._uplink.send)
            if news:
                self._dispatch.news()
            self._deliver()

    def _keep_house(self) -> None:
        if not self._store.reserve.whole:
            self._housekeeping.hurry()
        with self._custody.trouble():
            self._housekeeping.turn(self._store)

    def _deliver(self) -> None:
        for courier in self._dispatch:
            store = None if self._intake.blocked else self._store
            courier.collect()
            with self._custody.trouble():
                courier.write(store)
            with self._custody.trouble():
                courier.pump(store)

    def _close_orphaned(self) -> None:
        if self._intake.empty and not self._memory:
            self._interrupt(self._workers.orphaned(self._standing.open_violations))

    # --- what is told -------------------------------------------------------------------------------

    def _beat(self) -> None:
        beat = Heartbeat(
            state=CameraState.LIVE,
            reason=self._intake.trouble,
            since=self._since,
            leave_by=None,
            frames=self._workers.received,
            last_frame=None,
            attempt=0,
        )
        self._uplink.send(beat, droppable=True)

    def _measure(self) -> None:
        with self._custody.trouble():
            self._worries.look(self._store, self._dispatch, self._memory, self._intake.trouble)
            self._gauges.update(self._store, self._dispatch, self._memory, self._standing)
            self._gauges.snoozes(self._silence, [camera.name for camera in self._config.cameras])
        self._uplink.send(Metrics(snapshot=self._meter.snapshot()), droppable=True)

    # --- the end ------------------------------------------------------------------------------------

    def _close(self, grace: float) -> None:
        """Take in what has arrived, let what is out come back, say goodbye; in bounded time."""
        deadline = self._clock.monotonic() + min(_GOODBYE, grace / 2)
        while self._clock.monotonic() < deadline:
            self._loop.turn(0.02)
            self._work()
            if self._intake.empty and self._dispatch.idle:
                break
        with self._custody.trouble():
            self._intake.commit_all(self._store)
        self._workers.close()
        self._stop_sinks(min(_GOODBYE, grace / 2))
        self._socket.unlink(missing_ok=True)
        self._measure()
        self._uplink.close()
        self._store.close()
        self._loop.close()


def _told_by_sinks(config: Config) -> tuple[object, ...]:
    """Return what the sinks were made from: where alerts go, and the cameras that are announced."""
    cameras = [(camera.name, [zone.name for zone in camera.zones]) for camera in config.cameras]
    return config.mqtt, config.people, config.links, config.node, cameras
