"""The recorder process: set-up as every child, the data directory's lock, the loop."""

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
from maskwatch.recorder.service import MakeSinks, open_recorder
from maskwatch.store.data_dir import DataDir, DirectoryLock
from maskwatch.store.replacement import Repair
from maskwatch.store.store import Store, open_store
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None, *, sinks: MakeSinks = make_sinks) -> int:
    """Run the recorder; return the exit code (see `maskwatch.errors`)."""
    parser = argparse.ArgumentParser(prog="maskwatch-recorder")
    parser.add_argument("--fd", type=int, required=True, help="the inherited channel to the supervisor")
    options = parser.parse_args(arguments)
    try:
        supervisor, configure = child.start(options.fd, "recorder")
        serve(supervisor, configure, sinks=sinks, clock=SystemClock())
    except MaskwatchError as error:
        _log.critical("%s", error)
        return error.exit_code
    return 0


def serve(
    supervisor: child.SupervisorChannel, configure: Configure, *, sinks: MakeSinks, clock: Clock
) -> None:
    """Lock the data directory, and record until the supervisor stops it.

    Raises:
        StoreLockedError: another daemon uses the directory.
        StoreTooNewError: a newer version has written the database.
        StoreError: the directory or the database cannot be used.
    """
    config = configure.config
    directory = DataDir(Path(config.data_dir))
    directory.prepare()

    def open_database(names: Sequence[str], meter: Meter) -> tuple[Store, Repair | None]:
        lock.renew()
        reserve = config.store.reserve_megabytes << 20
        return open_store(directory, sinks=names, reserve_bytes=reserve, clock=clock, meter=meter)

    with DirectoryLock(directory) as lock:
        open_recorder(supervisor, configure, open_database, make_sinks=sinks, clock=clock).serve()
