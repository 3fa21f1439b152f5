"""Identifiers: ordered by time in live runs, reproducible in replays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import LiveIds, ReplayIds, uuid7

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given beside
randomness = st.binary(min_size=10, max_size=10)


@given(moments, randomness)
def test_a_uuid7_has_version_variant_and_time(at: datetime, random: bytes) -> None:
    made = uuid7(at, random)
    assert made.version == 7
    assert made.variant == RFC_4122
    assert made.int >> 80 == int(at.timestamp() * 1000)


@given(moments, randomness, randomness, st.integers(2, 10**9))
def test_a_later_millisecond_sorts_later(at: datetime, first: bytes, second: bytes, later: int) -> None:
    a, b = uuid7(at, first), uuid7(at + timedelta(milliseconds=later), second)
    assert a < b
    assert str(a) < str(b)
    assert a.bytes < b.bytes


@given(randomness, randomness)
def test_all_74_random_bits_are_kept(first: bytes, second: bytes) -> None:
    shown = (1 << 74) - 1
    same = int.from_bytes(first, "big") & shown == int.from_bytes(second, "big") & shown
    assert (uuid7(AT, first) == uuid7(AT, second)) is same


def test_the_example_of_the_rfc() -> None:
    """RFC 9562, appendix A.6."""
    at = datetime.fromtimestamp(1645557742, UTC)
    random = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(at, random) == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_live_ids_do_not_repeat_within_a_millisecond() -> None:
    ids = LiveIds()
    assert len({ids.next(AT) for _ in range(1000)}) == 1000


def test_replay_ids_are_reproducible_and_independent_of_time() -> None:
    first = ReplayIds("hash", "door")
    second = ReplayIds("hash", "door")
    made = [first.next(AT) for _ in range(3)]
    assert made == [second.next(AT + timedelta(days=i)) for i in range(3)]
    assert len(set(made)) == 3


def test_replay_ids_differ_by_clip_and_camera() -> None:
    firsts = {ReplayIds(clip, camera).next(AT) for clip in ("a", "b") for camera in ("c", "d")}
    assert len(firsts) == 4
    # The slash between them must not let two pairs fall together.
    assert ReplayIds("a", "bc").next(AT) != ReplayIds("ab", "c").next(AT)
