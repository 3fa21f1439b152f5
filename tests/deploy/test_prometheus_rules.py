"""Rules and configuration, checked by Prometheus's own tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.queries import DEPLOY, alert_queries

UNIT_TESTS = ("rules.test.yml", "weeks.test.yml")


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    run("promtool", "check", "rules", "rules.yml", cwd=DEPLOY / "prometheus")


@pytest.mark.long
def test_the_rules_pass_their_unit_tests() -> None:
    run("promtool", "test", "rules", *UNIT_TESTS, cwd=DEPLOY / "prometheus")


def test_every_alert_fires_and_stays_silent_in_the_unit_tests() -> None:
    texts = [(DEPLOY / "prometheus" / name).read_text("utf-8") for name in UNIT_TESTS]
    tests = [test for text in texts for test in yaml.safe_load(text)["tests"]]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    alerts = {query.where for query in alert_queries()}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == alerts
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == alerts


def test_prometheus_accepts_its_configuration() -> None:
    run("promtool", "check", "config", "prometheus.yml", cwd=DEPLOY / "prometheus")


def test_alertmanager_accepts_its_configuration() -> None:
    run("amtool", "check-config", "alertmanager.yml", cwd=DEPLOY / "alertmanager")
