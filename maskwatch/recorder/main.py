"""Runs the recorder: set-up as every child, the directory's lock, the database, the loop."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from maskwatch.alerts.factory import make_sinks
from maskwatch.clock import Clock, SystemClock
from maskwatch.errors import MaskwatchError
from maskwatch.ipc import child
from maskwatch.ipc.messages import Configure
from maskwatch.recorder.service import MakeSinks, Recorder
from maskwatch.store.database import Store
from maskwatch.store.files import DataDir, DirectoryLock
from maskwatch.store.open import open_store
from maskwatch.store.recovery import Repair
from maskwatch.telemetry.meter import Meter

__all__ = ["main", "serve"]

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None, *, sinks: MakeSinks = make_sinks) -> int:
    """Be the recorder; return the exit code (see `maskwatch.errors`)."""
    parser = argparse.ArgumentParser(prog="maskwatch-recorder")
    parser.add_argument("--fd", type=int, required=True, help="the inherited line to the supervisor")
    options = parser.parse_args(arguments)
    try:
        uplink, configure = child.start(options.fd, "recorder")
        serve(uplink, configure, sinks=sinks, clock=SystemClock())
    except MaskwatchError as error:
        _log.critical("%s", error)
        return error.exit_code
    return 0


def serve(
    uplink: child.SupervisorChannel, configure: Configure, *, sinks: MakeSinks, clock: Clock
) -> None:
    """Own the data directory and record until told to stop.

    Raises:
        StoreLockedError, StoreTooNewError, StoreError: the directory cannot be had.

    """
    config = configure.config
    place = DataDir(Path(config.data_dir))
    place.prepare()

    def open_database(names: Sequence[str], meter: Meter) -> tuple[Store, Repair | None]:
        lock.renew()
        reserve = config.store.reserve_megabytes << 20
        return open_store(place, sinks=names, reserve_bytes=reserve, clock=clock, meter=meter)

    with DirectoryLock(place) as lock:
        Recorder(uplink, configure, open_database, make_sinks=sinks, clock=clock).serve()
