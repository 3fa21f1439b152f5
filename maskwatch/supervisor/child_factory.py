"""Makes the recorder's and the workers' `ManagedChild`, each with the configuration that it may see."""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import replace
from pathlib import Path

from maskwatch.config.codec import for_recorder, for_worker
from maskwatch.config.schema import Config
from maskwatch.ipc.messages import Configure
from maskwatch.ipc.worker_tokens import worker_token
from maskwatch.secrets import Secret
from maskwatch.supervisor.child import ChildEvents, ChildKind, ManagedChild
from maskwatch.supervisor.launcher import ProcessLauncher
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.catalogue import Owner


def recorder_socket(config: Config) -> Path:
    return Path(config.runtime_dir) / "recorder.sock"


def new_token_key() -> Secret:
    return Secret(secrets.token_hex(32))


class ChildFactory:
    """Makes children; a worker's token shows the recorder that the supervisor started it."""

    def __init__(self, launcher: ProcessLauncher, timeouts: Timeouts) -> None:
        self._launcher = launcher
        self._timeouts = timeouts
        self._token_key = new_token_key()
        self._rng = random.Random()  # noqa: S311 - jitter is no secret

    def recorder(self, config: Config, events: ChildEvents) -> ManagedChild:
        kind = ChildKind("maskwatch.recorder", Owner.RECORDER)
        # No camera is recorded without it, so it is tried again every minute, not after an hour.
        timeouts = replace(self._timeouts, max_quarantine=self._timeouts.quarantine)
        return self._child(kind, self.recorder_configuration(config, ()), events, timeouts)

    def worker(self, config: Config, camera: str, events: ChildEvents) -> ManagedChild:
        kind = ChildKind("maskwatch.worker", Owner.WORKER, camera)
        return self._child(kind, self.worker_configuration(config, camera), events, self._timeouts)

    def recorder_configuration(self, config: Config, held_sinks: tuple[str, ...]) -> Configure:
        """Return what the recorder is given: everything that it needs for storing and alerts.

        `held_sinks` are the names of the sinks that lack a secret or a file for now.
        """
        return Configure(
            config=for_recorder(config),
            recorder=str(recorder_socket(config)),
            held_sinks=held_sinks,
            token=self._token_key,
        )

    def worker_configuration(self, config: Config, camera: str) -> Configure:
        """Return what a worker is given: its own camera, and no secret of another."""
        return Configure(
            config=for_worker(config, camera),
            recorder=str(recorder_socket(config)),
            camera=camera,
            token=worker_token(self._token_key, camera),
            processor_share=_fair_share(config),
        )

    def _child(
        self, kind: ChildKind, configuration: Configure, events: ChildEvents, timeouts: Timeouts
    ) -> ManagedChild:
        return ManagedChild(
            kind,
            configuration,
            launcher=self._launcher,
            events=events,
            timeouts=timeouts,
            policy=RestartPolicy(timeouts, self._rng),
        )


def _fair_share(config: Config) -> float:
    """Return the processors for each camera that is watched."""
    watched = sum(camera.enabled for camera in config.cameras)
    return len(os.sched_getaffinity(0)) / max(1, watched)
