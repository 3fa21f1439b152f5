"""Tries what this machine has to decode video and to run models, beside one thread of its processor.

Each way runs in a process of its own: a driver that crashes or hangs ends that trial and nothing else.
Its result is compared with the processor's before its time counts.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

    from maskwatch.lab.arrays import Image

CODECS = ("h264", "hevc")
DELEGATES = {"Edge TPU": "libedgetpu.so.1", "GPU": "libtensorflowlite_gpu_delegate.so"}
"""Libraries of TFLite delegates by the hardware that they use."""

_DEVICES = {"cuda": "nvidia*", "qsv": "dri/render*", "vaapi": "dri/render*", "v4l2m2m": "video*"}
"""Files in /dev without which a decoder cannot work."""

SIZE = 1920, 1080
_FRAMES, _RATE = 50, 25
_TIMEOUT_S = 60.0
_RUNS = 20
# Of 255, on average: decoders are exact, conversions between pixel formats round.
_MAX_PICTURE_ERROR = 2.0
_MAX_LOGIT_ERROR = 0.5
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimddp", "i8mm")


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to do one task.

    Attributes:
        task: `decode h264`, `decode hevc` or `mask model`.
        way: `software`, or the name of a hardware device or delegate.
        milliseconds: per picture or face, by the clock; None if it cannot be used.
        processor: the part of it that is processor time.
        reason: why it cannot be used; "" if it can.
    """

    task: str
    way: str
    milliseconds: float | None = None
    processor: float | None = None
    reason: str = ""


def instructions() -> list[str]:
    """Return the processor's instruction sets that matter to int8 models."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    flags = set(re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)[:1])
    words = " ".join(flags).split()
    return [name for name in _INSTRUCTIONS if name in words]


def trials(delegates: dict[str, str]) -> Iterator[Trial]:
    """Try every decoder that FFmpeg was built with, and each of these TFLite delegates."""
    with tempfile.TemporaryDirectory() as folder:
        for codec in CODECS:
            clip = Path(folder, f"{codec}.mp4")
            _write_clip(clip, codec)
            for way in ("software", *decoders(codec)):
                yield _run({"task": f"decode {codec}", "way": way, "clip": str(clip)})
    for way, library in {"software": "", **delegates}.items():
        yield _run({"task": "mask model", "way": way, "library": library})


def decoders(codec: str) -> list[str]:
    """Return the hardware decoders of this build of FFmpeg, whether this machine has them or not."""
    import av  # noqa: PLC0415 - heavy

    configured = av.Codec(codec, "r").hardware_configs
    accelerated = [config.device_type.name for config in configured if config.is_supported]
    separate = [way for way in ("qsv", "v4l2m2m") if f"{codec}_{way}" in av.codecs_available]
    return [*accelerated, *separate]


def _run(trial: dict[str, str]) -> Trial:
    task, way = trial["task"], trial["way"]
    device = _DEVICES.get(way, "null")
    if not any(Path("/dev").glob(device)):
        return Trial(task, way, reason=f"this machine has no /dev/{device}")
    command = [sys.executable, "-m", "maskwatch.lab.hardware", json.dumps(trial)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Trial(task, way, reason=f"no result within {_TIMEOUT_S:g} s")
    if done.returncode < 0:
        return Trial(task, way, reason=f"its driver was ended by signal {-done.returncode}")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return Trial(task, way, reason=lines[-1] if lines else f"exit code {done.returncode}")
    return Trial(**json.loads(done.stdout.splitlines()[-1]))


def try_here(trial: dict[str, str]) -> Trial:
    """Run one trial in this process. Raises whatever the library raises where it cannot be used."""
    task, way = trial["task"], trial["way"]
    if task == "mask model":
        spent, used = _try_model(trial["library"])
    else:
        spent, used = _try_decoder(Path(trial["clip"]), task.split()[1], way)
    return Trial(task, way, round(1000 * spent, 2), round(1000 * used, 2))


def _try_decoder(clip: Path, codec: str, way: str) -> tuple[float, float]:
    """Return seconds and processor seconds per picture."""
    last = _luma(list(_decoded(clip, codec, "software"))[-1])
    began, used = time.perf_counter(), time.process_time()
    pictures = list(_decoded(clip, codec, way))
    spent, used = time.perf_counter() - began, time.process_time() - used
    if len(pictures) != _FRAMES:
        raise ValueError(f"{len(pictures)} of {_FRAMES} pictures were decoded")
    error = abs(_luma(pictures[-1]).astype(float) - last).mean()
    if error > _MAX_PICTURE_ERROR:
        raise ValueError(f"its pictures differ from the software's by {error:.1f} of 255")
    return spent / _FRAMES, used / _FRAMES


def _decoded(clip: Path, codec: str, way: str) -> Iterator[av.VideoFrame]:
    import av  # noqa: PLC0415 - heavy, as the next
    from av.codec.hwaccel import HWAccel, hwdevices_available  # noqa: PLC0415

    separate = f"{codec}_{way}"
    accelerated = way in hwdevices_available() and separate not in av.codecs_available
    accel = HWAccel(way, allow_software_fallback=False) if accelerated else None
    with av.open(str(clip), hwaccel=accel) as container:
        stream = container.streams.video[0]
        context: Any = stream.codec_context
        context.thread_count = 1
        if way != "software" and accel is None:
            context = av.CodecContext.create(separate, "r")
            context.extradata = stream.codec_context.extradata
        for packet in container.demux(stream):
            yield from context.decode(packet if packet.size else None)


def _luma(picture: av.VideoFrame) -> Image:
    return picture.to_ndarray(format="gray")


def _write_clip(path: Path, codec: str) -> None:
    """Write two seconds of a textured picture that moves down by a row for each frame."""
    import cv2  # noqa: PLC0415 - heavy
    import numpy as np  # noqa: PLC0415

    from maskwatch.lab.scenes.encode import ClipWriter  # noqa: PLC0415 - heavy

    width, height = SIZE
    noise = np.random.default_rng(1).integers(0, 256, (height + _FRAMES, width), np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 4.0)
    chroma = np.full((height // 2, width), 128, np.uint8)
    with ClipWriter(path, SIZE, _RATE, codec=codec) as writer:
        for row in range(_FRAMES):
            writer.write(np.vstack([wide[row : row + height], chroma]))


def _try_model(library: str) -> tuple[float, float]:
    """Return seconds and processor seconds per face."""
    import numpy as np  # noqa: PLC0415 - heavy, as what follows

    from maskwatch.vision.interpreter import Interpreter, load_delegate  # noqa: PLC0415
    from maskwatch.vision.manifest import default_manifest, read_manifest  # noqa: PLC0415

    manifest = read_manifest(default_manifest())
    model = default_manifest().with_name(manifest.file).read_bytes()
    delegates = [load_delegate(library)] if library else []
    tried = Interpreter(model, manifest.file, delegates=delegates)
    size = manifest.input.size
    faces = np.random.default_rng(1).integers(0, 256, (_RUNS, size, size, 3), np.uint8)
    expected = Interpreter(model, manifest.file).run(faces)
    tried.run(faces[:2])
    began, used = time.perf_counter(), time.process_time()
    found = tried.run(faces)
    spent, used = time.perf_counter() - began, time.process_time() - used
    error = float(np.abs(found - expected).max())
    if not error <= _MAX_LOGIT_ERROR:
        raise ValueError(f"its outputs differ from the processor's by up to {error:.2f} nats")
    return spent / _RUNS, used / _RUNS


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(try_here(json.loads(sys.argv[1])))))  # noqa: T201 - for `_run`
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the result
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
