"""Pauses in the arrival of packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.capture.reader import PauseDetector


@given(st.floats(1, 30), st.lists(st.floats(0, 0.02), min_size=50, max_size=50))
def test_a_steady_stream_has_no_pauses(rate: float, jitter: list[float]) -> None:
    pauses = PauseDetector()
    paused = [pauses.paused(n / rate + late) for n, late in enumerate(jitter)]
    assert not any(paused[5:])


@pytest.mark.parametrize("pause", [1.5, 5.0, 60.0])
def test_only_the_packet_that_ends_a_pause_is_reported(pause: float) -> None:
    pauses = PauseDetector()
    assert not any(pauses.paused(n / 25) for n in range(50))
    resumed = 49 / 25 + pause
    assert pauses.paused(resumed)
    assert not pauses.paused(resumed + 0.04)
