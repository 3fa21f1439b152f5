"""A short clip of one visitor without a mask, and a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.lab.scenes import Scene, default_heads, render
from maskwatch.lab.scenes.script import Figure, Step
from tests.fakes.mosquitto import Mosquitto


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds: somebody without a mask walks up to the camera and leaves."""
    path = tmp_path_factory.mktemp("visitor") / "visitor.mp4"
    steps = (Step(0.3, -0.9, 7.0), Step(4.6, -0.4, 2.9), Step(5.8, -0.2, 1.0))
    scene = Scene(name="visitor", kind="e2e", seconds=7, figures=(Figure(steps, face=0),))
    render(scene, path, size=(960, 540), fps=15.0, faces=default_heads())
    return path


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()
