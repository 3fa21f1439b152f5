"""The report of licences, ages and known vulnerabilities."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tools.supply_chain import audit
from tools.supply_chain.audit import Report, Row, allowed, as_text, main

TODAY = date(2026, 12, 1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run the command; returns its exit code and its report in JSON."""

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        path = tmp_path / "audit.json"
        monkeypatch.setattr(sys, "argv", ["audit", "--json", str(path), *arguments])
        return main(), json.loads(path.read_text("utf-8"))

    return run


def lock_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str) -> None:
    """Put a lock file with one entry in the place of the image's."""
    lock = tmp_path / "image.txt"
    lock.write_text(f"{pin} --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(audit, "lock_file", lambda _: lock)


def test_offline_all_licences_and_ages_of_the_image_are_known(run: Any) -> None:
    code, report = run("--offline")
    assert code == 0, report["findings"]
    assert report["not_looked_up"] == ["known vulnerabilities: --offline was given"]
    assert all(each["licence"] and each["age_days"] is not None for each in report["packages"])


def test_what_was_not_looked_up_fails_only_a_complete_audit(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_of(tmp_path, monkeypatch, "click==0.0.1")
    assert run("--offline")[0] == 0
    assert run("--offline", "--complete")[0] == 3


def test_an_unreachable_network_is_reported_and_fails_nothing(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_of(tmp_path, monkeypatch, "click==0.0.1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    code, report = run()
    assert code == 0
    missing = "\n".join(report["not_looked_up"])
    assert "known vulnerabilities" in missing
    assert "click==0.0.1: release date" in missing
    assert "click==0.0.1: licence" in missing


def test_a_known_vulnerability_is_a_finding(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip_audit.py").write_text(
        """print('{"dependencies": [{"name": "click", "version": "8.5.1", "vulns": """
        """[{"id": "PYSEC-1", "fix_versions": ["9.0"]}]}], "fixes": []}')"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pin = next(each.pin for each in audit.read_lock(audit.lock_file("run")) if each.name == "click")
    lock_of(tmp_path, monkeypatch, pin)
    code, report = run()
    assert code == 1
    assert report["findings"] == [f"{pin}: PYSEC-1, fixed in 9.0"]


def test_a_licence_that_is_not_allowed_is_a_finding() -> None:
    report = Report(set="image", made="", packages=[])
    audit._judge(Row("x", "1", licence="AGPL-3.0-only", released="2026-11-30", age_days=1), report, 100)
    assert report.findings == ["x==1: the licence AGPL-3.0-only is not among the allowed ones"]


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("GPL-2.0-only OR MIT", True),
        ("GPL-2.0-only AND MIT", False),
        ("MIT AND (BSD-3-Clause OR EPL-2.0)", True),
    ],
)
def test_an_expression_is_allowed_if_allowed_licences_fulfil_it(
    expression: str, *, is_allowed: bool
) -> None:
    assert allowed(expression) is is_allowed


def test_an_old_version_is_remarked_and_no_finding() -> None:
    report = audit.audit("image", today=TODAY, offline=True, max_age=0)
    assert len(report.remarks) == len(report.packages)
    assert report.findings == []


def test_a_wrong_lock_file_is_a_usage_error(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock_of(tmp_path, monkeypatch, "click>=8")
    with pytest.raises(SystemExit) as end:
        run("--offline")
    assert end.value.code == 2
    assert "click" in capsys.readouterr().err


def test_the_table_marks_what_is_unknown() -> None:
    lines = as_text(Report(set="image", made="", packages=[Row("x", "1")])).splitlines()
    assert lines[1].split() == ["x", "1", "?", "?", "?", "?"]
