"""An open store in a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.store.store import Store
from tests.fakes.samples import make_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = make_store(tmp_path / "data")
    yield opened
    opened.close()
