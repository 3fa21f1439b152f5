"""Time stamps never make a packet late that decoding keeps up with."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.capture.reader import FilePacer
from maskwatch.capture.stream_clock import KeepUpMeter, PauseDetector, Skipping, StreamClock


def late(stamps: list[float | None], arrivals: list[float], *, keeps_up: bool = True) -> list[int]:
    """Return the numbers of the packets behind which decoding lags."""
    clock = StreamClock()
    found = []
    for number, (stamp, arrival) in enumerate(zip(stamps, arrivals, strict=True)):
        delay = clock.delay(stamp, arrival, keeps_up=keeps_up)
        if clock.behind(delay, arrival):
            found.append(number)
    return found


ARRIVALS = [n / 20 for n in range(20 * 60)]


@given(
    st.sampled_from([0.0, 0.1, 0.5, 0.8, 1.0, 1.25, 2.0, 10.0]),
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.integers(1, 1199), st.floats(-1e4, 1e4)), max_size=4),
)
def test_while_decoding_keeps_up_no_stamps_make_it_late(
    rate: float, origin: float, jumps: list[tuple[int, float]]
) -> None:
    """Clocks that run slow, fast or not at all, that begin anywhere, and that jump."""
    stamps: list[float | None] = [origin + rate * arrival for arrival in ARRIVALS]
    for at, jump in jumps:
        stamps[at:] = [(stamp or 0.0) + jump for stamp in stamps[at:]]
    assert late(stamps, ARRIVALS) == []


def test_without_stamps_nothing_is_late_while_decoding_keeps_up() -> None:
    assert late([None] * len(ARRIVALS), ARRIVALS) == []


@pytest.mark.parametrize("rate", [0.0, 0.8, 1.0, 1.2])
def test_decoding_that_falls_behind_is_noticed_with_any_clock(rate: float) -> None:
    clock = StreamClock()
    arrivals = [n / 20 for n in range(20 * 40)]
    for arrival in arrivals:
        clock.delay(rate * arrival, arrival, keeps_up=True)
    begun = arrivals[-1]
    behind = []
    for number in range(1, 200):
        arrival = begun + number / 10  # half as fast as pictures come
        delay = clock.delay(rate * (begun + number / 20), arrival, keeps_up=False)
        behind.append(clock.behind(delay, arrival))
    assert not any(behind[:10])
    assert all(behind[60:])


def test_a_slow_reader_is_not_taken_for_a_slow_clock() -> None:
    clock = StreamClock()
    for arrival in ARRIVALS:
        clock.delay(0.7 * arrival, arrival, keeps_up=False)
        assert clock.oddity == ""


def test_an_odd_clock_is_described() -> None:
    clock = StreamClock()
    for arrival in ARRIVALS:
        clock.delay(0.8 * arrival, arrival, keeps_up=True)
    assert clock.oddity == "its clock runs at 0.80 of real time"
    clock = StreamClock()
    for arrival in ARRIVALS[:10]:
        clock.delay(7.0, arrival, keeps_up=True)
    assert clock.oddity == "its time stamps stand still"
    for arrival in ARRIVALS[:60]:
        clock.delay(None, arrival, keeps_up=True)
    assert clock.oddity == "its pictures have no time stamps"


def test_a_few_pictures_without_stamps_are_not_odd() -> None:
    """FFmpeg gives the first packets of a stream none."""
    clock = StreamClock()
    for number, arrival in enumerate(ARRIVALS):
        clock.delay(None if number % 100 < 20 else arrival, arrival, keeps_up=True)
        assert clock.oddity == ""


def test_pictures_in_bursts_have_the_times_at_which_they_were_taken() -> None:
    """A second of pictures arrives at a time; from the second burst on, the first is a second old."""
    clock = StreamClock()
    moments = []
    for number in range(25 * 30):
        arrival = float(number // 25 + 1)
        delay = clock.delay(number / 25, arrival, keeps_up=True)
        moments.append(arrival - delay)
    assert clock.oddity == ""
    steps = [b - a for a, b in itertools.pairwise(moments[25:])]
    assert steps == pytest.approx([0.04] * len(steps), abs=1e-6)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.lists(st.floats(0, 0.5), min_size=2, max_size=50))
def test_the_delay_is_at_most_the_jitter_of_the_network(
    epoch: float, start: float, delays: list[float]
) -> None:
    clock = StreamClock()
    found = [
        clock.delay(epoch + n / 25, start + n / 25 + late, keeps_up=True)
        for n, late in enumerate(delays)
    ]
    assert all(0 <= delay <= 0.5 + 1e-6 for delay in found)


def test_a_burst_of_old_pictures_at_the_start_delays_no_later_one() -> None:
    clock = StreamClock()
    for n in range(50):
        clock.delay(n / 25, 10.0 + n / 1000, keeps_up=True)
    assert clock.delay(2.0, 10.1, keeps_up=True) == pytest.approx(0.0, abs=0.1)


def test_a_reader_keeps_up_if_it_waits_for_a_tenth_of_the_time() -> None:
    meter = KeepUpMeter()
    assert not meter.known
    for _ in range(100):
        meter.add(0.03, 0.04)
    assert meter.known
    assert meter.keeps_up
    for _ in range(100):
        meter.add(0.001, 0.04)
    assert not meter.keeps_up


@given(st.floats(1, 30), st.lists(st.floats(0, 0.02), min_size=50, max_size=50))
def test_a_steady_stream_has_no_pauses(rate: float, jitter: list[float]) -> None:
    pauses = PauseDetector()
    paused = [pauses.paused(n / rate + late) for n, late in enumerate(jitter)]
    assert not any(paused[5:])


@pytest.mark.parametrize("interval", [1.0, 3.0, 20.0])
def test_a_stream_of_few_pictures_has_no_pauses(interval: float) -> None:
    pauses = PauseDetector()
    assert not any(pauses.paused(n * interval, 100 + n * interval) for n in range(10))


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("pause", [1.5, 5.0, 60.0])
def test_only_the_packet_that_ends_a_pause_is_reported(pause: float, stamped: bool) -> None:
    pauses = PauseDetector()
    assert not any(pauses.paused(n / 25, n / 25 if stamped else None) for n in range(50))
    resumed = 49 / 25 + pause
    assert pauses.paused(resumed, 50 / 25 if stamped else None)
    assert not pauses.paused(resumed + 0.04, 51 / 25 if stamped else None)


def test_a_file_begins_at_once_and_is_played_at_its_own_rate() -> None:
    """Its clock may begin at an hour, jump, or lack stamps."""
    pacer = FilePacer(10.0, interval=0.1)
    stamps = [3601.0, 3601.04, None, 3601.12, 20.0, 20.04, 99.0, 99.5, 99.5, 99.5]
    due = [pacer.due(stamp) for stamp in stamps]
    assert due == pytest.approx([10.0, 10.04, 10.14, 10.24, 10.34, 10.38, 10.48, 10.98, 11.08, 11.18])


def test_packets_are_skipped_from_a_lag_to_where_decoding_can_begin() -> None:
    skipping = Skipping()
    assert not skipping.skips(behind=False, begins=False)
    assert skipping.skips(behind=True, begins=False)
    assert skipping.skips(behind=False, begins=False)
    assert not skipping.skips(behind=False, begins=True)
    assert not skipping.skips(behind=False, begins=False)


def test_a_stream_without_a_place_to_begin_is_decoded_again_after_a_lag() -> None:
    skipping = Skipping()
    assert all(skipping.skips(behind=True, begins=False) for _ in range(2000))
    skipped = [skipping.skips(behind=False, begins=False) for _ in range(2000)]
    assert skipped.index(False) == skipped.count(True) == 1499
