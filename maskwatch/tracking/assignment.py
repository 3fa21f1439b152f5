"""The cheapest one-to-one pairing of tracks and detections."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["FORBIDDEN", "assign"]

FORBIDDEN = math.inf
"""Cost of a pair that must not be made."""


def assign(costs: Sequence[Sequence[float]], unpaired: float) -> list[tuple[int, int]]:
    """Return (row, column) pairs of least total cost, rows ascending.

    A row may stay alone for `unpaired`, so a pair dearer than that is never made. The Hungarian
    method by shortest augmenting paths (Jonker and Volgenant 1987), O(rows^2 * columns): ample for
    the faces of one picture, and free of chance in ties.

    Args:
        costs: one row of equal length for each track; `FORBIDDEN` where no pair is allowed.
        unpaired: finite cost of leaving a row alone.

    """
    rows = len(costs)
    if not rows:
        return []
    columns = len(costs[0])
    padded = [[min(cost, 2 * unpaired + 1e6) for cost in row] + [unpaired] * rows for row in costs]
    owner = _solve(padded)
    pairs = [(row, column) for column, row in enumerate(owner[:columns]) if row >= 0]
    return sorted((row, column) for row, column in pairs if costs[row][column] <= unpaired)


def _solve(costs: list[list[float]]) -> list[int]:
    """Return for each column its row, -1 for none; there are at least as many columns as rows."""
    columns = len(costs[0])
    row_price, column_price = [0.0] * len(costs), [0.0] * columns
    owner = [-1] * columns
    for row in range(len(costs)):
        _augment(costs, row, owner, row_price, column_price)
    return owner


def _augment(
    costs: list[list[float]],
    row: int,
    owner: list[int],
    row_price: list[float],
    column_price: list[float],
) -> None:
    """Give `row` a column, moving others along the cheapest chain of changes."""
    columns = len(owner)
    best, before, done = [math.inf] * columns, [-1] * columns, [False] * columns
    current, reached = row, -1
    while True:
        for column in range(columns):
            if not done[column]:
                reduced = costs[current][column] - row_price[current] - column_price[column]
                if reduced < best[column]:
                    best[column], before[column] = reduced, reached
        step, nearest = min((best[c], c) for c in range(columns) if not done[c])
        row_price[row] += step
        for column in range(columns):
            if done[column]:
                row_price[owner[column]] += step
                column_price[column] -= step
            else:
                best[column] -= step
        done[nearest], reached = True, nearest
        if owner[nearest] < 0:
            break
        current = owner[nearest]
    while reached >= 0:
        earlier = before[reached]
        owner[reached] = row if earlier < 0 else owner[earlier]
        reached = earlier
