"""Scenes: clips of people walking past a camera, made to order, with the truth beside them."""

from __future__ import annotations

from maskwatch.testing.scenes.catalogue import DEMO, demo_scenes, described, scene_named
from maskwatch.testing.scenes.portraits import Head, default_heads, heads_from
from maskwatch.testing.scenes.script import Scene
from maskwatch.testing.scenes.stage import render

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
