"""A sink that writes what it takes to a file, one alert id a line, and does as another file says.

Run as a program it is the real recorder with this sink in place of the configured ones:
`python -m tests.fakes.file_sink FOLDER --fd N`. FOLDER/mood holds `accept` (also without the
file), `refuse`, `fail`, `silent` or `away`; FOLDER/taken gets the lines `alert-id stored`.
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

_FATES = {
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
        self._mood_file = folder / "mood"
        self._taken = folder / "taken"
        self._state = folder / "standing"
        self._report: Report = print

    @property
    def _mood(self) -> str:
        return self._mood_file.read_text().strip() if self._mood_file.exists() else "accept"

    @property
    def ready(self) -> bool:
        return self._mood != "away"

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
        mood = self._mood
        if mood == "silent":
            return
        if mood == "accept":
            with self._taken.open("a") as file:
                file.write(f"{name}:{subject.number} {delivery.stored}\n")
        self._report(DeliveryOutcome(delivery.id, _FATES[mood], mood))

    def stop(self, timeout: float) -> None: ...


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.exit(main(sys.argv[2:], sinks=lambda _: [FileSink(folder)]))
