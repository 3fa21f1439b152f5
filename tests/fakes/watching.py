"""A real Prometheus that scrapes a daemon, and checks of the symptoms of faults in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from maskwatch.telemetry import catalogue
from maskwatch.telemetry.catalogue import METRICS, MetricKind
from tests.deploy.prometheus import SHIPPED, Prometheus
from tests.deploy.queries import Query
from tests.deploy.short_rules import shorten_rules
from tests.deploy.symptoms import Fault, Reading, Series, Symptom, symptoms_of
from tests.fakes.waiting import wait_until

_QUIET_S = 6.0  # seconds without a change: processes report every 5 s
_TIMEOUT = 300.0  # generous, for a busy machine


def _nothing() -> None:
    """Do nothing."""


def _wait_until_empty(problems: Callable[[], list[Any]], what: str) -> None:
    """Return once there are no problems."""
    deadline = time.monotonic() + _TIMEOUT
    while found := problems():
        assert time.monotonic() < deadline, f"{what}: {found}"
        time.sleep(0.25)


class PendingSymptoms:
    """The symptoms of faults that are not visible yet."""

    def __init__(self, watcher: Watcher, pairs: list[tuple[Query, Symptom]]) -> None:
        self._watcher = watcher
        _wait_until_empty(lambda: self._missing(pairs), "has no valid value before the fault")
        self._open = [(query, symptom, watcher.ask(query)) for query, symptom in pairs]

    def _missing(self, pairs: list[tuple[Query, Symptom]]) -> list[str]:
        return [query.where for query, symptom in pairs if not symptom.begins(self._watcher.ask(query))]

    def wait(self, repeat: Callable[[], object] = _nothing) -> None:
        """Wait until all are visible; call `repeat` before every check."""

        def unseen() -> list[tuple[Query, Symptom, Reading]]:
            repeat()
            readings = [(q, s, Reading(before, self._watcher.ask(q))) for q, s, before in self._open]
            missing = [(q, s, reading) for q, s, reading in readings if not s.shows(reading)]
            self._open = [(q, s, s.base(reading)) for q, s, reading in missing]
            return missing

        _wait_until_empty(unseen, "does not change")


class Watcher:
    """Queries its own Prometheus, which scrapes `target` every second."""

    def __init__(self, folder: Path, target: str) -> None:
        self.prometheus = Prometheus(folder, target, shorten_rules(SHIPPED))
        self.faults: set[Fault] = set()

    def __enter__(self) -> Self:
        try:
            self.prometheus.wait_ready()
        except BaseException:
            self.prometheus.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.prometheus.close()

    def ask(self, query: Query | str) -> Series:
        """Return every series of the present result, with its labels."""
        rows = self.prometheus.ask(query if isinstance(query, str) else query.expr)
        return [(dict(row["metric"]), float(row["value"][1])) for row in rows]  # type: ignore[call-overload, index]

    def value(self, expr: str) -> float:
        """Return the sum of the result of an expression, NaN if it is empty."""
        found = [value for _, value in self.ask(expr)]
        return sum(found) if found else float("nan")

    def wait_for(self, expr: str, timeout: float = _TIMEOUT) -> None:
        """Wait until the result of an expression is not empty."""
        wait_until(lambda: self.ask(expr) != [], timeout, expr)

    def wait_quiet(self, *faults: Fault) -> None:
        """Wait until no symptom of the faults is visible for `_QUIET_S` seconds."""
        pairs = symptoms_of(*faults)

        def moved() -> list[tuple[Query, Symptom, Reading]]:
            before = [self.ask(query) for query, _ in pairs]
            time.sleep(_QUIET_S)
            readings = [Reading(b, self.ask(q)) for b, (q, _) in zip(before, pairs, strict=True)]
            found = zip(pairs, readings, strict=True)
            return [(*pair, reading) for pair, reading in found if pair[1].shows(reading)]

        _wait_until_empty(moved, "changes by itself")

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[PendingSymptoms]:
        """Induce faults in the context; at its end, wait until every symptom of them is visible."""
        self.faults |= set(faults)
        pending = PendingSymptoms(self, symptoms_of(*faults))
        yield pending
        pending.wait()

    def fallen(self) -> Series:
        """Return the counters and histograms that Prometheus saw decrease."""
        names = [name for name, metric in METRICS.items() if metric.kind is MetricKind.COUNTER]
        for name, metric in METRICS.items():
            if metric.kind is MetricKind.HISTOGRAM:
                names += [f"{name}_{part}" for part in ("bucket", "sum", "count")]
        existing = [name for name in names if self.ask(name)]
        assert {catalogue.FRAMES, f"{catalogue.DECODE_SECONDS}_bucket"} <= set(existing)
        return [found for name in existing for found in self.ask(f"resets({name}[1h]) > 0")]
