"""The recorder: the store, the workers, the sinks and the supervisor in one loop.

Everything here runs on the main thread, which alone uses the database. Sinks have threads of their
own and communicate through queues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwatch.alerts.sink import HeldSink, Sink
from maskwatch.clock import Clock
from maskwatch.config.schema import Config
from maskwatch.domain import Incident, Snooze
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    Configure,
    IncidentChanged,
    Ready,
    StatusChanged,
    Stop,
    ToChild,
)
from maskwatch.ipc.peer_credentials import run_identity
from maskwatch.recorder.commands import CommandHandler
from maskwatch.recorder.current_state import load_current_state
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.interruptions import Interruptions
from maskwatch.recorder.maintenance import Maintenance
from maskwatch.recorder.monitoring import IncidentDetector, Monitor, SupervisorReports
from maskwatch.recorder.recording import Recording
from maskwatch.recorder.sinks import MAX_STOP, SinkDeliveries
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.store_guard import OpenDatabase, StoreGuard
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import WorkerConnections, WorkerEvents
from maskwatch.telemetry.meter import Meter

MakeSinks = Callable[[Config], Sequence[Sink]]

_MAX_WAIT = 0.25  # seconds of one turn of the loop without an event
_DEFAULT_GRACE = 0.5  # seconds to end without a supervisor


def open_recorder(
    supervisor: SupervisorChannel,
    configure: Configure,
    open_database: OpenDatabase,
    *,
    make_sinks: MakeSinks,
    clock: Clock,
) -> Recorder:
    """Open the database, listen for workers, connect the sinks, and report `Ready`.

    Raises:
        StoreError: the database cannot be opened, or the socket cannot be created.
    """
    config, sinks = configure.config, _make_sinks(make_sinks, configure)
    meter, loop, unstored = Meter(), EventLoop(clock), UnstoredBuffer()
    reports = SupervisorReports(supervisor, clock)
    names = [sink.name for sink in sinks]
    guard = StoreGuard(open_database, names, meter=meter, clock=clock, progress=reports.heartbeat)
    state = load_current_state(guard.store, [camera.name for camera in config.cameras])
    deliveries = SinkDeliveries(state, unstored, loop.wake, clock=clock, meter=meter)

    def snooze_changed(snooze: Snooze) -> None:
        deliveries.snooze_changed(snooze)
        reports.snooze_changed(snooze)

    run, retention = run_identity(), config.store.retention
    snoozes = SnoozeManager(guard.store, unstored, clock, snooze_changed)
    intake = Intake(unstored, state, run=run, clock=clock, meter=meter, is_silent=snoozes.is_silent)
    commands = CommandHandler(intake, state, snoozes, supervisor.send, clock)
    maintenance = Maintenance(retention, guard.store.changes.last_stored_at(), clock=clock, meter=meter)
    events = WorkerEvents(
        minute=deliveries.occupancy_counted,
        snapshot=commands.deliver_snapshot,
        misbehaved=reports.worker_misbehaved,
    )
    path, key = Path(configure.recorder), configure.token
    workers = WorkerConnections(path, loop, intake, events, run=run, key=key, clock=clock)
    recording = Recording(
        guard=guard,
        state=state,
        unstored=unstored,
        intake=intake,
        workers=workers,
        interruptions=Interruptions(workers, intake, state, clock),
        snoozes=snoozes,
    )
    monitor = Monitor(
        meter=meter,
        recording=recording,
        deliveries=deliveries,
        reports=reports,
        clock=clock,
        incidents=IncidentDetector(clock, intake.add_incident, _still_open(recording, run)),
    )
    recorder = Recorder(
        clock=clock,
        loop=loop,
        supervisor=supervisor,
        configure=configure,
        make_sinks=make_sinks,
        recording=recording,
        commands=commands,
        deliveries=deliveries,
        maintenance=maintenance,
        monitor=monitor,
    )
    recorder.start(sinks)
    return recorder


def _still_open(recording: Recording, run: str) -> list[Incident]:
    """Close what an earlier run of the machine left open; return the incidents that are still open."""
    changes, incidents = recording.guard.store.state.left_open(run)
    recording.interruptions.close(changes, incidents)
    return [each for each in recording.state.open_incidents if each not in incidents]


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Runs the parts of the recorder in one loop; `open_recorder` makes it.

    `grace` is set once the supervisor has sent `Stop`: the seconds within which to end.
    """

    clock: Clock
    loop: EventLoop
    supervisor: SupervisorChannel
    configure: Configure
    make_sinks: MakeSinks
    recording: Recording
    commands: CommandHandler
    deliveries: SinkDeliveries
    maintenance: Maintenance
    monitor: Monitor
    grace: float | None = None

    def start(self, sinks: Sequence[Sink]) -> None:
        self.loop.watch(self.supervisor, self._receive)
        self.loop.every(1.0, self.monitor.beat)
        self.loop.every(5.0, self.monitor.measure)
        self.loop.every(10.0, self.recording.interruptions.close_orphaned)
        self.loop.every(5.0, self.recording.workers.stay_reachable)
        self.supervisor.send(Ready())
        self.monitor.beat()
        self.recording.snoozes.announce_resumed()
        self.deliveries.start(sinks)

    def serve(self) -> None:
        """Work until `Stop` arrives or the supervisor has ended; then close everything."""
        while self.grace is None and not self.supervisor.ended:
            busy = self.maintenance.busy or self.recording.intake.pressing
            self.loop.turn(0.0 if busy else _MAX_WAIT)
            self._work()
            self._maintain()
        self._close(_DEFAULT_GRACE if self.grace is None else self.grace)

    def _receive(self) -> None:
        for message in self.supervisor.messages():
            self._handle(message)
        self.supervisor.flush()

    def _handle(self, message: ToChild) -> None:
        match message:
            case Configure():
                self._apply(message)
            case Stop():
                self.grace = message.grace
            case Command():
                self.supervisor.send(self.commands.execute(self.recording.guard.store, message))
                self.deliveries.outbox_changed()
            case CommandResult():
                self.commands.finish(message)
            case StatusChanged():
                self.deliveries.camera_changed(message.status)
            case IncidentChanged():
                self.recording.intake.add_incident(message.incident)

    def _apply(self, configure: Configure) -> None:
        previous, self.configure = self.configure, configure
        config = configure.config
        store = self.recording.guard.store
        self.maintenance.configure(config.store.retention)
        store.reserve.target_size = config.store.reserve_megabytes << 20
        self.recording.state.configure_cameras({camera.name for camera in config.cameras})
        if _sink_settings(previous) != _sink_settings(configure):
            self.deliveries.stop(self.recording.guard, MAX_STOP)
            sinks = _make_sinks(self.make_sinks, configure)
            self.recording.guard.store.outbox.sinks = tuple(sink.name for sink in sinks)
            self.deliveries.start(sinks)

    def _work(self) -> None:
        self._handle_replacements()
        guard, changed = self.recording.guard, True  # so too if the turn fails after a commit
        with guard.postponing_errors():
            changed = self.recording.turn()
        for sink, command in self.deliveries.commands():
            self.commands.run(guard.store, sink, command)
            changed = True
        if changed:
            self.deliveries.outbox_changed()
        self.deliveries.deliver(guard, from_memory_only=self.recording.intake.blocked)

    def _handle_replacements(self) -> None:
        for reason in self.recording.guard.take_replacements():
            self.maintenance.abandon_pass()
            if reason:
                self.monitor.incidents.database_replaced(reason)
            self.deliveries.outbox_changed()

    def _maintain(self) -> None:
        guard = self.recording.guard
        if not guard.store.reserve.complete:
            self.maintenance.retain_soon()
        with guard.postponing_errors():
            self.maintenance.turn(guard.store)

    def _close(self, grace: float) -> None:
        """Store what has arrived, wait for deliveries in flight, and end, all in bounded time."""
        deadline = self.clock.monotonic() + min(MAX_STOP, grace / 2)
        while self.clock.monotonic() < deadline:
            self.loop.turn(0.02)
            self._work()
            if self.recording.intake.empty and self.deliveries.idle:
                break
        self.recording.close()
        self.deliveries.stop(self.recording.guard, min(MAX_STOP, grace / 2))
        self.monitor.measure()
        self.supervisor.close()
        self.recording.guard.store.close()
        self.loop.close()


def _make_sinks(make_sinks: MakeSinks, configure: Configure) -> list[Sink]:
    """Return the sinks; those that lack a secret or a file are only represented."""
    held = [HeldSink(name) for name in configure.held_sinks]
    made = make_sinks(configure.config)
    return [*(sink for sink in made if sink.name not in configure.held_sinks), *held]


def _sink_settings(configure: Configure) -> tuple[object, ...]:
    """Return what the sinks are made from: the destinations, and the cameras they announce."""
    config = configure.config
    cameras = [(camera.name, [zone.name for zone in camera.zones]) for camera in config.cameras]
    return configure.held_sinks, config.mqtt, config.people, config.links, config.node, cameras
