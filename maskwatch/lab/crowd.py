"""Clips for benchmarks: a corridor with 0, 1 or 5 people in view all the time."""

from __future__ import annotations

from pathlib import Path

from maskwatch.lab.scenes import Scene, default_heads, render
from maskwatch.lab.scenes.scene import Figure, Step
from maskwatch.lab.truth import Wear

SECONDS = 12.0
_PLACES = (-1.2, -0.6, 0.0, 0.6, 1.2)


def crowd(people: int) -> Scene:
    """Return a scene in which `people` walk slowly towards the camera, every other one masked."""
    figures = tuple(
        Figure(
            (Step(0.0, x, 4.6), Step(SECONDS, x * 0.9, 3.2)),
            Wear.MASKED if number % 2 else Wear.BARE,
            face=number,
        )
        for number, x in enumerate(_PLACES[(5 - people) // 2 :][:people])
    )
    return Scene(name=f"crowd-{people}", kind="bench", seconds=SECONDS, figures=figures)


def crowd_clip(folder: Path, people: int, size: tuple[int, int] = (1920, 1080)) -> Path:
    """Return the H.264 clip of `crowd` at 25 frames a second, rendered at the first call."""
    name = f"crowd-{people}" if size[1] == 1080 else f"crowd-{people}-{size[1]}"
    path = folder / f"{name}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        render(crowd(people), path, size=size, fps=25.0, faces=default_heads())
    return path
