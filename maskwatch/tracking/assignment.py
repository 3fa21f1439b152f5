"""Linear assignment: the one-to-one pairing of tracks and detections at the least total cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

FORBIDDEN = math.inf
"""Cost of a pair that is not allowed."""


def assign(costs: Sequence[Sequence[float]], unpaired: float) -> list[tuple[int, int]]:
    """Return (row, column) pairs of least total cost, rows ascending.

    Leaving a row unpaired costs `unpaired`, so a pair of greater cost is never made. The Hungarian
    method by shortest augmenting paths (Jonker and Volgenant 1987), O(rows^2 * columns): fast enough
    for the faces of one picture, and deterministic in ties.

    Args:
        costs: one row of equal length for each track; `FORBIDDEN` where no pair is allowed.
        unpaired: finite cost of leaving a row unpaired.
    """
    rows = len(costs)
    if not rows:
        return []
    columns = len(costs[0])
    padded = [[min(cost, 2 * unpaired + 1e6) for cost in row] + [unpaired] * rows for row in costs]
    row_of = _solve(padded)
    pairs = [(row, column) for column, row in enumerate(row_of[:columns]) if row >= 0]
    return sorted((row, column) for row, column in pairs if costs[row][column] <= unpaired)


def _solve(costs: list[list[float]]) -> list[int]:
    """Return for each column its row, -1 for none; there are at least as many columns as rows."""
    columns = len(costs[0])
    row_price, column_price = [0.0] * len(costs), [0.0] * columns
    row_of = [-1] * columns
    for row in range(len(costs)):
        _augment(costs, row, row_of, row_price, column_price)
    return row_of


def _augment(
    costs: list[list[float]],
    row: int,
    row_of: list[int],
    row_price: list[float],
    column_price: list[float],
) -> None:
    """Assign `row` a column, reassigning others along the shortest augmenting path."""
    columns = len(row_of)
    distance, previous, done = [math.inf] * columns, [-1] * columns, [False] * columns
    current, reached = row, -1
    while True:
        for column in range(columns):
            if not done[column]:
                reduced = costs[current][column] - row_price[current] - column_price[column]
                if reduced < distance[column]:
                    distance[column], previous[column] = reduced, reached
        step, nearest = min((distance[c], c) for c in range(columns) if not done[c])
        row_price[row] += step
        for column in range(columns):
            if done[column]:
                row_price[row_of[column]] += step
                column_price[column] -= step
            else:
                distance[column] -= step
        done[nearest], reached = True, nearest
        if row_of[nearest] < 0:
            break
        current = row_of[nearest]
    while reached >= 0:
        earlier = previous[reached]
        row_of[reached] = row if earlier < 0 else row_of[earlier]
        reached = earlier
