"""Trends with standard errors of what processes use, a table and a plot."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

BOUNDS = {"MiB": 6.0, "descriptors": 6.0}
"""The growth in an hour up to which a process counts as flat."""
_WARM_UP = 300.0  # seconds of each process that are left out: its bounded caches fill in this time
_BIN = 30.0  # seconds; samples within one bin are correlated, so their mean is one observation
_MIN_BINS = 3

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """What one process used at one moment; `second` counts from the beginning of the soak."""

    second: float
    name: str
    pid: int
    megabytes: float
    descriptors: int


@dataclass(frozen=True)
class Trend:
    """A slope per hour with its standard error, over all successive processes of one name."""

    name: str
    what: str
    mean: float
    slope: float
    error: float


def trends(samples: Sequence[Sample]) -> Iterator[Trend]:
    """Fit one slope for each name; each of its processes has its own level."""
    for name in sorted({sample.name for sample in samples}):
        mine = [sample for sample in samples if sample.name == name]
        for what in BOUNDS:
            stretches = [_binned(mine, pid, what) for pid in sorted({sample.pid for sample in mine})]
            found = [each for each in stretches if len(each[0]) >= _MIN_BINS]
            if found:
                yield _fit(name, what, found)


def _binned(samples: Sequence[Sample], pid: int, what: str) -> tuple[Numbers, Numbers]:
    """Return hours and values of one process after its warm-up, averaged over bins of time."""
    own = [sample for sample in samples if sample.pid == pid]
    begin = own[0].second + _WARM_UP
    bins: dict[int, list[tuple[float, float]]] = {}
    for sample in own:
        if sample.second >= begin:
            value = sample.megabytes if what == "MiB" else float(sample.descriptors)
            bins.setdefault(int(sample.second // _BIN), []).append((sample.second / 3600, value))
    means = np.array([np.mean(pairs, axis=0) for pairs in bins.values()]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def _fit(name: str, what: str, stretches: Sequence[tuple[Numbers, Numbers]]) -> Trend:
    hours = np.concatenate([x - x.mean() for x, _ in stretches])
    values = np.concatenate([y - y.mean() for _, y in stretches])
    spread = float(np.sum(hours**2))
    slope = float(np.sum(hours * values)) / spread
    freedom = len(hours) - len(stretches) - 1
    error = float(np.sqrt(np.sum((values - slope * hours) ** 2) / max(freedom, 1) / spread))
    mean = float(np.mean(np.concatenate([y for _, y in stretches])))
    return Trend(name, what, mean, slope, error)


def write(samples: Sequence[Sample], path: Path) -> None:
    """Write the samples as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([each.name for each in fields(Sample)])
        table.writerows(astuple(sample) for sample in samples)


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Draw memory above descriptors over time, a line for each name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    memory, descriptors = figure.subplots(2, 1, sharex=True)
    for name in sorted({sample.name for sample in samples}):
        for index, pid in enumerate(sorted({s.pid for s in samples if s.name == name})):
            mine = [sample for sample in samples if (sample.name, sample.pid) == (name, pid)]
            minutes = [sample.second / 60 for sample in mine]
            style = {"color": f"C{_colour_index(samples, name)}", "label": "" if index else name}
            memory.plot(minutes, [sample.megabytes for sample in mine], **style)
            descriptors.plot(minutes, [sample.descriptors for sample in mine], **style)
    memory.set_ylabel("resident memory, MiB")
    memory.set_ylim(bottom=0)
    memory.legend(loc="center right")
    descriptors.set_ylabel("open descriptors")
    descriptors.set_xlabel("minutes; a gap in a line is a kill and a restart")
    descriptors.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)


def _colour_index(samples: Sequence[Sample], name: str) -> int:
    return sorted({sample.name for sample in samples}).index(name)
