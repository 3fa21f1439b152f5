"""A configuration file that a test writes, read independently of this process's environment."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from maskwatch.config.load import CheckedConfig, check_config

Reader = Callable[..., CheckedConfig]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Write the text into `config.yaml` and check it."""

    def _read(text: str, environ: Mapping[str, str] | None = None) -> CheckedConfig:
        path = tmp_path / "config.yaml"
        path.write_text(textwrap.dedent(text))
        path.chmod(0o600)
        return check_config(path, environ=environ or {})

    return _read


@pytest.fixture
def problems_of(read: Reader, tmp_path: Path) -> Callable[..., list[str]]:
    """Read a text and return its problems as a user sees them, after the directory."""

    def _problems_of(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        found = read(text, environ)
        return [str(problem).removeprefix(f"{tmp_path}/config.yaml:") for problem in found.problems]

    return _problems_of
