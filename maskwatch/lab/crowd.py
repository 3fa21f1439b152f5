"""Clips for benchmarks: a corridor with 0, 1 or 5 people in view all the time."""

from __future__ import annotations

from pathlib import Path

import av
import av.filter

from maskwatch.files import ffmpeg_name
from maskwatch.lab.scenes import Scene, default_heads, render
from maskwatch.lab.scenes.scene import Figure, Step
from maskwatch.lab.truth import Wear

SECONDS = 12.0
_NOISY_BITS, _NOISY_GROUP = 4_000_000, 50
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


def noisy_clip(clip: Path) -> Path:
    """Return the clip with the noise of a sensor in it, as H.264 of 4 Mbit/s; made at the first call."""
    path = clip.with_name(f"{clip.stem}-noisy.mp4")
    if not path.exists():
        part = path.with_suffix(".part")
        _add_noise(clip, part)
        part.replace(path)
    return path


def _add_noise(clip: Path, path: Path) -> None:
    with (
        av.open(ffmpeg_name(clip)) as source,
        av.open(ffmpeg_name(path), "w", format="mp4") as target,
    ):
        video = source.streams.video[0]
        stream = target.add_stream("libx264", rate=video.average_rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.bit_rate, stream.gop_size = _NOISY_BITS, _NOISY_GROUP
        stream.options = {"preset": "veryfast", "bf": "0"}
        graph = av.filter.Graph()
        graph.link_nodes(
            graph.add_buffer(template=video),
            graph.add("noise", "alls=7:allf=t"),
            graph.add("buffersink"),
        ).configure()
        for picture in source.decode(video):
            graph.push(picture)
            noisy = graph.pull()
            assert isinstance(noisy, av.VideoFrame)
            noisy.pict_type = av.video.frame.PictureType.NONE  # the encoder chooses
            target.mux(stream.encode(noisy))
        target.mux(stream.encode(None))


def crowd_clip(folder: Path, people: int, size: tuple[int, int] = (1920, 1080)) -> Path:
    """Return the H.264 clip of `crowd` at 25 frames a second, rendered at the first call."""
    name = f"crowd-{people}" if size[1] == 1080 else f"crowd-{people}-{size[1]}"
    path = folder / f"{name}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        render(crowd(people), path, size=size, fps=25.0, faces=default_heads())
    return path
