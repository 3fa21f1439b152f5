"""Single writes by the command line while no daemon owns the data directory."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session

from maskwatch.clock import SystemClock
from maskwatch.store.engine import translated, write_engine
from maskwatch.store.files import DataDir, DirectoryLock
from maskwatch.store.migrate import refuse_foreign
from maskwatch.store.upkeep import acknowledge

__all__ = ["acknowledge_directly"]


def acknowledge_directly(data_dir: Path, violation: UUID, who: str) -> bool:
    """Acknowledge a violation; return False if there is none of that id.

    Raises:
        StoreLockedError: a daemon owns the directory: ask it instead.
        StoreError: the database cannot be written, or has another form than this version's.

    """
    place = DataDir(data_dir)
    with DirectoryLock(place, patience=0.0):
        engine = write_engine(place.database, timeout=5.0)
        try:
            with translated(place.database), Session(engine) as session, session.begin():
                refuse_foreign(session.connection(), place.database, exact=True)
                done = acknowledge(session, violation, who, SystemClock().now())
                return done is not None
        finally:
            engine.dispose()
