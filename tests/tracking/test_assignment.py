"""Tracks and detections are assigned at the least total cost."""

from __future__ import annotations

import math
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.tracking.assignment import FORBIDDEN, assign

_COST = st.one_of(st.floats(0, 50, allow_nan=False), st.just(FORBIDDEN))
_UNPAIRED = 30.0


def _matrices() -> st.SearchStrategy[list[list[float]]]:
    sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))
    return sizes.flatmap(
        lambda size: st.lists(
            st.lists(_COST, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
        )
    )


def _total(costs: list[list[float]], pairs: list[tuple[int, int]]) -> float:
    return sum(costs[r][c] for r, c in pairs) + _UNPAIRED * (len(costs) - len(pairs))


def _cheapest(costs: list[list[float]]) -> float:
    """Return the least total cost over all assignments."""
    rows, columns = len(costs), len(costs[0])
    columns_or_none = [*range(columns), *([None] * rows)]
    best = math.inf
    for chosen in set(permutations(columns_or_none, rows)):
        pairs = [(r, c) for r, c in enumerate(chosen) if c is not None]
        best = min(best, _total(costs, pairs))
    return best


@given(_matrices())
def test_no_other_pairing_is_cheaper(costs: list[list[float]]) -> None:
    pairs = assign(costs, _UNPAIRED)
    assert math.isclose(_total(costs, pairs), _cheapest(costs), abs_tol=1e-6)


@given(_matrices())
def test_pairs_are_unique_and_never_forbidden(costs: list[list[float]]) -> None:
    pairs = assign(costs, _UNPAIRED)
    assert len({r for r, _ in pairs}) == len(pairs) == len({c for _, c in pairs})
    assert all(costs[r][c] <= _UNPAIRED for r, c in pairs)


def test_a_greedy_choice_is_rejected_when_the_total_is_higher() -> None:
    assert assign([[1.0, 2.0], [1.5, 9.0]], _UNPAIRED) == [(0, 1), (1, 0)]


def test_no_tracks_or_no_detections_give_no_pairs() -> None:
    assert assign([], _UNPAIRED) == []
    assert assign([[], []], _UNPAIRED) == []
