"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The photographs and clips beside the checkout; tests that need them carry `shared`."""
    if not _SHARED.is_dir():
        pytest.skip("shared data is absent")
    return _SHARED


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's root."""
    return Path(__file__).resolve().parents[1]
