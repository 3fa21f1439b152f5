"""No bytes make a reader raise anything but the errors it documents; `make fuzz` looks further."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS, run

_SEEDS = [(name, seed) for name, seeds in TARGETS.items() for seed in seeds]

_QUICK = [(name, seed) for name, seed in _SEEDS if name != "database"]  # which takes a second each


@pytest.mark.parametrize(
    ("name", "seed"), _SEEDS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(_SEEDS)]
)
def test_seeds_and_earlier_findings_are_read_or_refused(name: str, seed: bytes) -> None:
    run(name, seed)


@given(st.sampled_from(_QUICK), st.integers(0, 5000), st.binary(max_size=6), st.integers(0, 8))
def test_a_corrupted_seed_is_read_or_refused(
    chosen: tuple[str, bytes], at: int, put: bytes, gone: int
) -> None:
    name, seed = chosen
    at %= len(seed) + 1
    run(name, seed[:at] + put + seed[at + gone :])


@given(st.sampled_from(_QUICK), st.integers(0, 2**32))
def test_a_seed_with_other_values_in_the_same_form_is_read_or_refused(
    chosen: tuple[str, bytes], seed: int
) -> None:
    name, data = chosen
    for turn in range(3):
        data = mutate(name, data, random.Random(seed + turn)) or data
    run(name, data)
