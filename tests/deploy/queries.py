"""The queries of the dashboards and the rules."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from maskwatch.telemetry.catalogue import METRICS, MetricKind

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
RULES = DEPLOY / "prometheus/rules.yml"
_NAME = re.compile(r"\bmaskwatch[_:][a-z0-9_:]+")


@dataclass(frozen=True)
class Query:
    """One expression and the panel, variable or rule that contains it."""

    where: str
    expr: str

    @property
    def names(self) -> set[str]:
        """The names of the series that it reads."""
        return set(_NAME.findall(self.expr))

    def concrete(self, interval: str = "1m") -> str:
        """Return the expression as Grafana sends it with all values selected."""
        text = re.sub(r"\$(instance|camera|sink)\b", ".*", self.expr)
        return text.replace("$__rate_interval", interval)


def dashboards() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}


def panel_queries() -> list[Query]:
    return [
        Query(f"{board['title']}: {panel['title']}", target["expr"])
        for board in dashboards().values()
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]


def variable_queries() -> list[Query]:
    return [
        Query(f"{board['title']}: ${variable['name']}", variable["query"])
        for board in dashboards().values()
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
    ]


@functools.cache
def rules() -> tuple[dict[str, object], ...]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return tuple(rule for group in groups for rule in group["rules"])


def alert_queries() -> list[Query]:
    return [Query(str(rule["alert"]), str(rule["expr"])) for rule in rules() if "alert" in rule]


def record_queries() -> list[Query]:
    return [Query(str(rule["record"]), str(rule["expr"])) for rule in rules() if "record" in rule]


@functools.cache
def series() -> frozenset[str]:
    """Return the names of all series of the catalogue and of the recording rules."""
    names = {query.where for query in record_queries()}
    for metric in METRICS.values():
        if metric.kind is MetricKind.HISTOGRAM:
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(metric.name)
    return frozenset(names)
