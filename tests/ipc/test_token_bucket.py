"""A token bucket starts full, refills at its rate, and never holds more than its capacity."""

from __future__ import annotations

from maskwatch.ipc.token_bucket import TokenBucket


def test_a_bucket_refills_up_to_its_capacity() -> None:
    bucket = TokenBucket(rate=2.0, capacity=10.0, now=0.0)
    assert bucket.spend(10.0, 0.0)
    assert not bucket.spend(1.0, 0.0)
    assert bucket.spend(1.0, 1.0)
    assert bucket.spend(10.0, 1000.0)
    assert not bucket.spend(0.1, 1000.0)


def test_a_refused_take_costs_nothing_and_a_debt_is_refilled_first() -> None:
    bucket = TokenBucket(rate=1.0, capacity=2.0, now=0.0)
    assert [bucket.take(1.0, 0.0) for _ in range(4)] == [True, True, False, False]
    assert bucket.available(1.5) == 1.5
    assert not bucket.spend(3.0, 1.5)
    assert bucket.available(2.5) == -0.5
