"""The result of the soak: growth is distinguished from noise."""

from __future__ import annotations

import random
from pathlib import Path

from tests.chaos.soak import judge
from tests.chaos.trend import BOUNDS, Sample, draw, trends, write


def soaked(growth: float, *, leak: float = 0.0) -> list[Sample]:
    """Half an hour of a recorder that is replaced once; MiB and descriptors per hour."""
    rng = random.Random(5)
    samples = []
    for pid, begin, end in ((1, 0, 840), (2, 840, 1800)):
        for second in range(begin, end, 5):
            hours = (second - begin) / 3600
            cold = 30.0 if second - begin < 240 else 0.0  # the warm-up is not growth
            megabytes = 60 + growth * hours + rng.gauss(0, 0.3) - cold
            samples.append(Sample(second, "recorder", pid, megabytes, 20 + int(leak * hours)))
    return samples


def test_a_noisy_process_that_is_replaced_counts_as_flat() -> None:
    assert judge(soaked(0.0)) == 0


def test_growing_memory_fails_the_soak_with_a_slope_near_the_true_one() -> None:
    samples = soaked(90.0)
    assert judge(samples) == 1
    (memory,) = [trend for trend in trends(samples) if trend.what == "MiB"]
    assert abs(memory.slope - 90.0) < 4 * memory.error + 1


def test_a_descriptor_lost_every_minute_fails_the_soak() -> None:
    assert BOUNDS["descriptors"] < 60
    assert judge(soaked(0.0, leak=60.0)) == 1


def test_a_soak_too_short_to_fit_a_slope_fails() -> None:
    assert judge([sample for sample in soaked(0.0) if sample.second < 310]) == 1


def test_table_and_plot_hold_every_sample(tmp_path: Path) -> None:
    samples = soaked(0.0)
    write(samples, tmp_path / "samples.csv")
    assert len((tmp_path / "samples.csv").read_text().splitlines()) == len(samples) + 1
    draw(samples, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
