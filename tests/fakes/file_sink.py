"""A sink that appends alert ids to a file, and behaves as another file configures.

As a program it is the real recorder with this sink instead of the configured ones:
`python -m tests.fakes.file_sink FOLDER --fd N`. FOLDER/behaviour contains `accept` (the default),
`refuse`, `fail`, `silent` or `away`. FOLDER/taken receives lines `alert-id stored`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from maskwatch.alerts.sink import (
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StatelessSink,
    StateSnapshot,
)
from maskwatch.domain import Change
from maskwatch.ipc.messages import Command
from maskwatch.recorder.main import main

_STATUSES = {
    "accept": DeliveryStatus.ACCEPTED,
    "refuse": DeliveryStatus.REFUSED,
    "fail": DeliveryStatus.FAILED,
}


class FileSink(StatelessSink):
    """Implements `maskwatch.alerts.sink.Sink`."""

    name = "file"
    window = 4
    paused = False

    def __init__(self, folder: Path) -> None:
        self._behaviour_file = folder / "behaviour"
        self._taken = folder / "taken"
        self._state = folder / "open_violations"
        self._report: Report = print

    @property
    def _behaviour(self) -> str:
        return self._behaviour_file.read_text().strip() if self._behaviour_file.exists() else "accept"

    @property
    def ready(self) -> bool:
        return self._behaviour != "away"

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],  # noqa: ARG002 - the protocol's signature
    ) -> None:
        self._report = report
        self._state.write_text(str(len(current_state().open_violations)))

    def send(self, delivery: Delivery) -> None:
        subject = delivery.subject
        name = subject.violation.id if isinstance(subject, Change) else subject.id
        behaviour = self._behaviour
        if behaviour == "silent":
            return
        if behaviour == "accept":
            with self._taken.open("a") as file:
                file.write(f"{name}:{subject.number} {delivery.stored}\n")
        self._report(DeliveryOutcome(delivery.id, _STATUSES[behaviour], behaviour))

    def stop(self, timeout: float) -> None: ...


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.exit(main(sys.argv[2:], sinks=lambda _: [FileSink(folder)]))
