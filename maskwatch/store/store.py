"""The store: one database and what the recorder keeps in it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from maskwatch.clock import Clock
from maskwatch.store.acknowledgements import Acknowledgements
from maskwatch.store.data_dir import DataDir
from maskwatch.store.database import Database
from maskwatch.store.outbox import Outbox
from maskwatch.store.record import ChangeRecorder
from maskwatch.store.reserve import Reserve
from maskwatch.store.snoozes import Snoozes
from maskwatch.store.state import StateQueries
from maskwatch.telemetry.meter import Meter

__all__ = ["Store"]


class Store:
    """The parts of an open store; each of their methods is one transaction, durable on return."""

    def __init__(
        self,
        data_dir: DataDir,
        *,
        sinks: Sequence[str],
        reserve: Reserve,
        clock: Clock,
        meter: Meter,
        engine: Engine | None = None,
    ) -> None:
        """Open it; `open_store` checks and migrates the database before.

        The caller holds the lock of `data_dir`, except with a read-only `engine`. `sinks`: names of
        the sinks to which changes are delivered.
        """
        database = Database(data_dir, reserve, engine)
        outbox = Outbox(database, sinks)
        self.data_dir = data_dir
        self.reserve = reserve
        self.database = database
        self.changes = ChangeRecorder(database, outbox, data_dir.pictures, reserve, clock, meter)
        self.outbox = outbox
        self.snoozes = Snoozes(database, outbox, clock)
        self.acknowledgements = Acknowledgements(database, clock)
        self.state = StateQueries(database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
