"""The recorder process: set-up as every child, the data directory's lock, the loop."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from maskwatch.alerts.factory import make_sinks
from maskwatch.clock import Clock, SystemClock
from maskwatch.errors import StoreError, TemporaryError
from maskwatch.ipc import child
from maskwatch.ipc.messages import Configure
from maskwatch.recorder.service import MakeSinks, open_recorder
from maskwatch.sandbox.lockdown import lock_down_recorder
from maskwatch.store.data_dir import DataDir, DirectoryLock
from maskwatch.store.replacement import Repair
from maskwatch.store.store import Store, open_store
from maskwatch.telemetry.meter import Meter


def main(arguments: Sequence[str] | None = None, *, sinks: MakeSinks = make_sinks) -> int:
    """Run the recorder; return the exit code (see `maskwatch.errors`)."""
    parser = argparse.ArgumentParser(prog="maskwatch-recorder")
    parser.add_argument("--fd", type=int, required=True, help="the inherited channel to the supervisor")
    options = parser.parse_args(arguments)
    return child.run(options.fd, "recorder", partial(serve, sinks=sinks, clock=SystemClock()))


def serve(
    supervisor: child.SupervisorChannel, configure: Configure, *, sinks: MakeSinks, clock: Clock
) -> None:
    """Lock the data directory, and record until the supervisor stops it.

    Raises:
        StoreLockedError: another daemon uses the directory.
        StoreTooNewError: a newer version has written the database.
        AccessDeniedError: this user may not use the directory, or something in it.
        StoreError: the directory cannot be used for a database.
        TemporaryError: the directory or the database cannot be used now.
    """
    lock_down_recorder()
    try:
        _serve(supervisor, configure, sinks, clock)
    except StoreError as error:
        # The system or SQLite refused, which is not the database's fault.
        if error.exit_code == StoreError.exit_code and error.__cause__ is not None:
            raise TemporaryError(str(error)) from error
        raise


def _serve(
    supervisor: child.SupervisorChannel, configure: Configure, sinks: MakeSinks, clock: Clock
) -> None:
    config = configure.config
    directory = DataDir(Path(config.data_dir))
    directory.prepare()

    def open_database(names: Sequence[str], meter: Meter) -> tuple[Store, Repair | None]:
        lock.renew()
        reserve = config.store.reserve_megabytes << 20
        return open_store(directory, sinks=names, reserve_bytes=reserve, clock=clock, meter=meter)

    with DirectoryLock(directory) as lock:
        recorder = open_recorder(supervisor, configure, open_database, make_sinks=sinks, clock=clock)
        recorder.serve()
