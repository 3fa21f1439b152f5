"""`maskwatch docs` prints the files of this version, also from an installed wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.fakes.command_line import run

EXPECTED = (
    "README.md",
    "config.example.yaml",
    "deploy/grafana/dashboards/maskwatch-fleet.json",
    "deploy/prometheus/rules.yml",
    "docs/install.md",
    "systemd/maskwatch.service",
)


def test_the_list_has_the_manual_and_the_sample_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("docs", "--list") == 0
    assert set(EXPECTED) <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["docs/glossary.md", "glossary.md", "glossary"])
def test_a_file_is_found_by_its_path_or_its_last_part(
    root: Path, capsysbinary: pytest.CaptureFixture[bytes], name: str
) -> None:
    assert run("docs", name) == 0
    assert capsysbinary.readouterr().out == (root / "docs/glossary.md").read_bytes()


def test_an_unknown_file_is_an_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("docs", "glosary.md") == 2
    assert "did you mean glossary.md?" in capsys.readouterr().err


@pytest.mark.long
def test_the_wheel_contains_what_the_verb_prints(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", tmp_path, root], check=True, timeout=300)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"maskwatch/_share/{name}" for name in EXPECTED} <= names
    assert not any(name.endswith("/config.yaml") and "deploy" not in name for name in names)
