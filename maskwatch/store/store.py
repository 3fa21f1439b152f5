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
    """The parts of an open store; each of their methods is one transaction, durable on return.

    Attributes:
        data_dir: the directory of the database.
        reserve: the space set aside for a full disk.
        database: transactions, checkpoints and copies.
        changes: records changes and occupancy.
        outbox: the deliveries to the sinks.
        snoozes: the snoozed cameras.
        acknowledgements: who has acknowledged which violation.
        state: open violations, open incidents and the newest occupancy.
    """

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

        Args:
            data_dir: a prepared directory whose lock the caller holds.
            sinks: names of the sinks to which changes are delivered.
            reserve: the space set aside for a full disk.
            clock: the time of storage.
            meter: counts pictures and measures commits.
            engine: a read-only engine, for which the lock need not be held.
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
