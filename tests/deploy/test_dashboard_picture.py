"""A dashboard's picture shows what Prometheus answers, panel by panel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools.draw_dashboard import BOARD, draw

SPAN = (1_772_000_000.0, 1_772_000_600.0)


def answer(_expr: str) -> list[dict[str, Any]]:
    """Return the series of two cameras for any query."""
    moments = range(int(SPAN[0]), int(SPAN[1]) + 1, 60)
    return [
        {"metric": {"camera": camera, "state": "live"}, "values": [[at, str(value)] for at in moments]}
        for camera, value in (("door", 3), ("yard", 1))
    ]


def test_exactly_the_queries_of_the_chosen_rows_are_run() -> None:
    asked: list[str] = []

    def ask(expr: str) -> list[dict[str, Any]]:
        asked.append(expr)
        return answer(expr)

    board = json.loads(BOARD.read_text("utf-8"))
    draw(board, ("Now", "Cameras"), ask, SPAN)
    assert len(asked) == 11
    assert not [expr for expr in asked if "$" in expr]
    assert not [expr for expr in asked if "resident_memory" in expr]


def test_the_picture_shows_titles_legends_and_sums() -> None:
    figure = draw(json.loads(BOARD.read_text("utf-8")), ("Now", "Cameras"), answer, SPAN)
    words = {text.get_text() for text in figure.texts}
    assert {"maskwatch / fleet", "Cameras live", "4", "State of each camera"} <= words
    legends = {
        text.get_text()
        for axes in figure.axes
        if axes.get_legend()
        for text in axes.get_legend().get_texts()
    }
    assert {"door", "yard", "live"} <= legends


def test_a_panel_that_cannot_be_drawn_is_refused_rather_than_drawn_wrong() -> None:
    row = {"type": "row", "title": "r", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}}
    heat = {"type": "heatmap", "title": "h", "gridPos": {"x": 0, "y": 1, "w": 24, "h": 8}, "targets": []}
    with pytest.raises(ValueError, match="a heatmap cannot be drawn"):
        draw({"title": "t", "panels": [row, heat]}, ("r",), answer, SPAN)
