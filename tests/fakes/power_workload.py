"""What a test interrupts by a power loss: scenarios that work on FOLDER/data with the real store.

As a program it reads a line `FOLDER SCENARIO`, forks a process for it and prints its id; that
process begins with the next line. Then it prints the exit code. So Python starts once for all.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec

from maskwatch.clock import SystemClock
from maskwatch.config.schema import RetentionConfig
from maskwatch.domain import Change
from maskwatch.store import pictures
from maskwatch.store.backup import backup, restore
from maskwatch.store.data_dir import DataDir
from maskwatch.store.engine import connect
from maskwatch.store.migrate import upgrade
from maskwatch.store.retention import Retention
from maskwatch.store.store import Store, open_store
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import JPEG, START, change, deliver, entry, incident, violation_id

OLD = START - timedelta(days=400)


_MARKS = os.open(os.devnull, os.O_WRONLY)  # strace records what is written here


def done(what: str) -> None:
    """Mark in the trace that this is acknowledged."""
    os.write(_MARKS, f"done {what}\n".encode())


def opened(folder: Path) -> Store:
    """Open the store as the recorder does."""
    data_dir = DataDir(folder / "data")
    data_dir.prepare()
    store, _ = open_store(data_dir, sinks=("mqtt",), reserve_bytes=0, clock=SystemClock(), meter=Meter())
    return store


def record(folder: Path) -> None:
    """Changes with and without pictures, in one transaction and several; results; acknowledgements."""
    store = opened(folder)
    for indexes in ((1,), (2, 3), (4,)):
        store.changes.record([entry(change(index), JPEG) for index in indexes])
        for index in indexes:
            done(f"recorded {index}:1")
            done(f"picture {index}:1")
    store.changes.record([entry(change(1, 2, closed=True)), entry(incident())])
    done("recorded 1:2")
    done("incident 1")
    deliver(store, (1,))
    done("delivered 1:1")
    store.acknowledgements.add(violation_id(2), "guard")
    done("acknowledged 2")
    store.database.checkpoint()
    store.changes.record([entry(change(5), JPEG)])
    done("recorded 5:1")
    done("picture 5:1")
    store.close()
    store = opened(folder)
    store.changes.record([entry(change(6), JPEG)])
    done("recorded 6:1")
    done("picture 6:1")


def repeat(folder: Path) -> None:
    """Send a change that a killed recorder may have stored, and had not acknowledged."""
    store = opened(folder)
    store.changes.record([entry(change(1), JPEG)])
    done("recorded 1:1")
    done("picture 1:1")


def die_in_a_new_day(folder: Path) -> None:
    """Be killed when the folder of the day is created, before its name is synced."""
    store = opened(folder)
    pictures.fsync_directory = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    store.changes.record([entry(change(1), JPEG)])


def fill(folder: Path) -> None:
    """Old and young violations with pictures, and a -wal as a kill leaves it."""
    store = opened(folder)
    for index in range(1, 7):
        closed = change(index, started=OLD if index <= 3 else START, closed=True)
        store.changes.record([entry(closed, JPEG)])
    deliver(store, range(1, 5))
    os._exit(0)


def retain(folder: Path) -> None:
    """Remove what is old."""
    store = opened(folder)
    for _ in Retention(store, RetentionConfig(), SystemClock().now()).slices():
        pass
    done("finished")
    store.close()


def back_up(folder: Path) -> None:
    """Copy the database in use."""
    backup(folder / "data" / "maskwatch.db", folder / "backup.db")
    done("finished")


def put_back(folder: Path) -> None:
    """Restore a backup, and open it."""
    restore(DataDir(folder / "data"), folder / "backup.db", SystemClock().now())
    done("finished")
    opened(folder)


def reopen(folder: Path) -> None:
    """Open what is there: migrate, repair, finish a repair."""
    opened(folder)
    done("finished")


def killed(folder: Path) -> None:
    """Add violations, and leave them in the -wal as a kill does."""
    store = opened(folder)
    for index in range(10, 15):
        store.changes.record([entry(change(index), JPEG)])
    os._exit(0)


def damage_an_index(folder: Path) -> None:
    database = folder / "data" / "maskwatch.db"
    with closing(connect(database)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_violation_started'"
        [(page,)] = connection.execute(query)
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))


def begin_with_the_first_revision(folder: Path) -> None:
    """Leave a database of the first revision, its rows in the -wal as a kill leaves them."""
    data_dir = DataDir(folder / "data")
    data_dir.prepare()
    upgrade(data_dir.database, "0001")
    with closing(connect(data_dir.database)) as connection:
        for index in range(1, 20):
            _insert_as_the_first_revision(connection, change(index))
        os._exit(0)


def _insert_as_the_first_revision(connection: sqlite3.Connection, subject: Change) -> None:
    violation, now = subject.violation, f"{START:%Y-%m-%d %H:%M:%S}.000000"
    key = violation.id.hex
    rows: dict[str, dict[str, object]] = {
        "violation": {
            "id": key, "number": 1, "owner": "o", "camera": "door", "zone": "", "zones": "[]",
            "track": 1, "verdict": "no_mask", "first_seen": now, "started": now, "confidence": 0.9,
            "evidence": 7.0, "readings": 3, "face_height": 50.0, "model": "m",
            "acknowledged_by": "guard",
        },
        "change": {
            "id": violation.track, "subject": key, "number": 1, "violation_id": key, "kind": "opened",
            "at": now, "received_at": now, "stored_at": now, "picture_bytes": 0,
            "body": msgspec.json.encode(subject).decode(),
        },
        "outbox": {
            "sink": "mqtt", "change_id": violation.track, "subject": key, "number": 1,
            "state": "pending", "attempts": 0, "created_at": now,
        },
    }  # fmt: skip
    for table, row in rows.items():
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)


def write_back(folder: Path) -> None:
    """Write the open database back whose file was removed."""
    store = opened(folder)
    store.changes.record([entry(change(7), JPEG)])
    (folder / "data" / "maskwatch.db").unlink()
    store.database.save_copy(lambda: None)
    done("recorded 7:1")
    store.close()
    store = opened(folder)
    store.changes.record([entry(change(8), JPEG)])
    done("recorded 8:1")


def main() -> None:
    while line := os.read(0, 4096).decode():
        folder, scenario = line.split()
        pid = os.fork()
        if pid == 0:
            os.read(0, 1)
            globals()[scenario](Path(folder))
            os._exit(0)
        os.write(1, f"{pid}\n".encode())
        os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


if __name__ == "__main__":
    main()
