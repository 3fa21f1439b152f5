"""The catalogue, the documentation, the dashboards and the rules name the same metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maskwatch.telemetry.catalogue import METRICS
from tests.deploy.queries import (
    Query,
    alert_queries,
    panel_queries,
    record_queries,
    series,
    variable_queries,
)

EVERY = [*panel_queries(), *variable_queries(), *alert_queries(), *record_queries()]


@pytest.mark.parametrize("query", EVERY, ids=lambda query: query.where)
def test_a_query_reads_only_existing_series(query: Query) -> None:
    assert query.names <= series()


@pytest.mark.parametrize("query", EVERY, ids=lambda query: query.where)
def test_a_query_selects_only_existing_label_values(query: Query) -> None:
    """A misspelt value of a closed set (`state="ofline"`) never matches, without any error."""
    for name, selector in re.findall(r"(maskwatch_\w+)\{([^}]*)\}", query.expr):
        base = re.sub(r"_(bucket|sum|count)$", "", name) if name not in METRICS else name
        labels = {label.name: label.values for label in METRICS[base].labels}
        for label, _, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            assert label in labels or label == "instance", (name, label)
            if labels.get(label):
                assert set(value.split("|")) <= set(labels[label] or ()), (name, label, value)


def test_every_metric_is_shown_or_watched_somewhere() -> None:
    read = set().union(*(query.names for query in EVERY))
    bases = read | {re.sub(r"_(bucket|sum|count)$", "", name) for name in read}
    assert sorted(set(METRICS) - bases) == []


def test_every_metric_is_documented_and_nothing_else_is(root: Path) -> None:
    text = (root / "docs/metrics.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(maskwatch_\w+)` \|", text, re.MULTILINE)) == set(METRICS)
