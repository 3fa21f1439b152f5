"""The source distribution holds what the repository holds, and nothing of an operator's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hatchling.builders.sdist import SdistBuilder

OF_AN_OPERATOR = (
    "config.yaml", "config.yaml.bak", "secrets/camera", "deploy/secrets/broker", "data/maskwatch.db",
    "deploy/mosquitto/passwords", ".venv/pyvenv.cfg", "build/wheel/a.whl", "maskwatch/__pycache__/a.pyc",
)  # fmt: skip


def test_a_source_distribution_has_the_tracked_files_and_no_secret(root: Path, tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)
    tracked = {name for name in listed.stdout.splitlines() if '"' not in name}
    for name in (*tracked, *OF_AN_OPERATOR):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("pyproject.toml", ".gitignore", "README.md"):
        shutil.copy(root / name, tmp_path / name)
    found = {file.relative_path for file in SdistBuilder(str(tmp_path)).recurse_included_files()}
    assert found - tracked == set()
    assert tracked - found <= {"pyproject.toml"}  # is always added
