"""Scenes: rendered clips of people walking past a camera, with their ground truth."""

from __future__ import annotations

from maskwatch.lab.scenes.catalogue import DEMO, demo_scenes, described, scene_named
from maskwatch.lab.scenes.portraits import Head, default_heads, heads_from
from maskwatch.lab.scenes.renderer import render
from maskwatch.lab.scenes.scene import Scene

__all__ = [
    "DEMO",
    "Head",
    "Scene",
    "default_heads",
    "demo_scenes",
    "described",
    "heads_from",
    "render",
    "scene_named",
]
