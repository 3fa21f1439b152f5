"""Handles the supervisor's messages to the recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskwatch.alerts.sink import Sink
from maskwatch.config.schema import Config
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    Configure,
    IncidentChanged,
    StatusChanged,
    Stop,
    ToChild,
)
from maskwatch.recorder.commands import CommandHandler
from maskwatch.recorder.maintenance import Maintenance
from maskwatch.recorder.recording import Recording
from maskwatch.recorder.sinks import MAX_STOP, SinkDeliveries

__all__ = ["MakeSinks", "SupervisorMessages"]

MakeSinks = Callable[[Config], Sequence[Sink]]


@dataclass(slots=True, kw_only=True)
class SupervisorMessages:
    """Applies each message; `grace`: seconds within which to end, once `Stop` has arrived."""

    supervisor: SupervisorChannel
    config: Config
    make_sinks: MakeSinks
    recording: Recording
    commands: CommandHandler
    deliveries: SinkDeliveries
    maintenance: Maintenance
    grace: float | None = None

    def receive(self) -> None:
        for message in self.supervisor.messages():
            self._handle(message)
        self.supervisor.flush()

    def _handle(self, message: ToChild) -> None:
        match message:
            case Configure():
                self._apply(message.config)
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

    def _apply(self, config: Config) -> None:
        previous, self.config = self.config, config
        self.maintenance.configure(config.store.retention)
        self.recording.guard.store.reserve.target_size = config.store.reserve_megabytes << 20
        self.recording.state.configure_cameras({camera.name for camera in config.cameras})
        if _sink_settings(previous) != _sink_settings(config):
            self.deliveries.stop(self.recording.guard, MAX_STOP)
            sinks = list(self.make_sinks(config))
            self.recording.guard.store.outbox.sinks = tuple(sink.name for sink in sinks)
            self.deliveries.start(sinks)


def _sink_settings(config: Config) -> tuple[object, ...]:
    """Return what the sinks are made from: the destinations, and the cameras they announce."""
    cameras = [(camera.name, [zone.name for zone in camera.zones]) for camera in config.cameras]
    return config.mqtt, config.people, config.links, config.node, cameras
