"""A real Prometheus that watches a daemon, and what it must see of each fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from maskwatch.telemetry import catalogue
from maskwatch.telemetry.catalogue import METRICS, MetricKind
from tests.deploy.haste import hastened
from tests.deploy.prometheus import SHIPPED, Prometheus
from tests.deploy.queries import Query
from tests.deploy.symptoms import Fault, Reading, Series, Symptom, symptoms_of
from tests.fakes.waiting import wait_until

__all__ = ["Sight", "Watcher"]

_STILL = 6.0  # seconds in which nothing may change: longer than the 5 s after which processes report
_TIMEOUT = 300.0  # generous: a busy machine is slow, not wrong


def _nothing() -> None:
    """What is done between two looks, if nothing is to be done."""


def _until(wrong: Callable[[], list[Any]], what: str) -> None:
    """Return once nothing is wrong any more."""
    deadline = time.monotonic() + _TIMEOUT
    while found := wrong():
        assert time.monotonic() < deadline, f"{what}: {found}"
        time.sleep(0.25)


class Sight:
    """The symptoms of some faults, as far as they were not seen yet."""

    def __init__(self, watcher: Watcher, pairs: list[tuple[Query, Symptom]]) -> None:
        self._watcher = watcher
        _until(lambda: self._missing(pairs), "does not begin as it should")
        self._open = [(query, symptom, watcher.ask(query)) for query, symptom in pairs]

    def _missing(self, pairs: list[tuple[Query, Symptom]]) -> list[str]:
        return [query.where for query, symptom in pairs if not symptom.begins(self._watcher.ask(query))]

    def wait(self, nudge: Callable[[], object] = _nothing) -> None:
        """Wait until all are seen; `nudge` before every look."""

        def unseen() -> list[tuple[Query, Symptom, Reading]]:
            nudge()
            looks = [(q, s, Reading(before, self._watcher.ask(q))) for q, s, before in self._open]
            missing = [(q, s, reading) for q, s, reading in looks if not s.shows(reading)]
            self._open = [(q, s, s.base(reading)) for q, s, reading in missing]
            return missing

        _until(unseen, "does not change")


class Watcher:
    """Asks a Prometheus of its own, which scrapes `target` every second."""

    def __init__(self, folder: Path, target: str) -> None:
        self.prometheus = Prometheus(folder, target, hastened(SHIPPED))
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
        """Return every series that the query answers now, with its labels."""
        rows = self.prometheus.ask(query if isinstance(query, str) else query.expr)
        return [(dict(row["metric"]), float(row["value"][1])) for row in rows]  # type: ignore[call-overload, index]

    def value(self, expr: str) -> float:
        """The sum of what an expression answers, NaN if that is nothing."""
        found = [value for _, value in self.ask(expr)]
        return sum(found) if found else float("nan")

    def wait_for(self, expr: str, timeout: float = _TIMEOUT) -> None:
        """Wait until an expression answers something."""
        wait_until(lambda: self.ask(expr) != [], timeout, expr)

    def wait_quiet(self, *faults: Fault) -> None:
        """Wait for seconds in which none of the faults seems to happen: else seeing it means nothing."""
        pairs = symptoms_of(*faults)

        def moved() -> list[tuple[Query, Symptom, Reading]]:
            before = [self.ask(query) for query, _ in pairs]
            time.sleep(_STILL)
            readings = [Reading(b, self.ask(q)) for b, (q, _) in zip(before, pairs, strict=True)]
            found = zip(pairs, readings, strict=True)
            return [(*pair, reading) for pair, reading in found if pair[1].shows(reading)]

        _until(moved, "changes by itself")

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[Sight]:
        """Read, let the faults be induced, and see every query that is about them change."""
        self.faults |= set(faults)
        sight = Sight(self, symptoms_of(*faults))
        yield sight
        sight.wait()

    def fallen(self) -> Series:
        """Return the counters and histograms that ever fell, as far as Prometheus saw it."""
        names = [name for name, metric in METRICS.items() if metric.kind is MetricKind.COUNTER]
        for name, metric in METRICS.items():
            if metric.kind is MetricKind.HISTOGRAM:
                names += [f"{name}_{part}" for part in ("bucket", "sum", "count")]
        there = [name for name in names if self.ask(name)]
        assert {catalogue.FRAMES, f"{catalogue.DECODE_SECONDS}_bucket"} <= set(there)
        return [found for name in there for found in self.ask(f"resets({name}[1h]) > 0")]
