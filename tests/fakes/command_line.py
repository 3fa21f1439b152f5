"""Runs the command line in the process of the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.cli.app import main


def run(*arguments: str | Path) -> int:
    """Run the command line and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)
