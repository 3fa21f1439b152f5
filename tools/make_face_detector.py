"""Makes the shipped face detector out of the published YuNet file, once.

    python -m tools.make_face_detector face_detection_yunet_2023mar.onnx

The published network has a fixed picture size of 640 x 640, which onnxruntime enforces. The shipped
copy takes any height and width; nodes and weights are untouched. Writes models/yunet-2023mar.onnx and
its manifest.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import msgspec
import onnx

from maskwatch.vision.weights import FaceDetectorManifest, PublishedFile

MODELS = Path(__file__).resolve().parents[1] / "models"
NAME = "yunet-2023mar"
PUBLISHED = PublishedFile(
    file="face_detection_yunet_2023mar.onnx",
    url="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    size=232_589,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)


def with_free_axes(published: bytes) -> bytes:
    """Return the network with input (1, 3, "H", "W") and no stated shape for any other tensor."""
    model = onnx.load_from_string(published)
    graph = model.graph
    _, _, height, width = graph.input[0].type.tensor_type.shape.dim
    height.dim_param, width.dim_param = "H", "W"
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    graph.ClearField("value_info")
    return model.SerializeToString(deterministic=True)


def manifest_of(shipped: bytes) -> FaceDetectorManifest:
    """Return the manifest of the shipped file."""
    return FaceDetectorManifest(
        format=1,
        id=NAME,
        description="YuNet face detector (Wu et al. 2023), free height and width",
        licence="MIT",
        copyright="Copyright (c) 2020 Shiqi Yu <shiqi.yu@gmail.com>",
        file=f"{NAME}.onnx",
        size=len(shipped),
        sha256=hashlib.sha256(shipped).hexdigest(),
        input="float32 BGR (1, 3, height, width), 0 to 255; height and width multiples of 32",
        made_by="python -m tools.make_face_detector face_detection_yunet_2023mar.onnx",
        source=PUBLISHED,
    )


def main() -> None:
    """Check the published file and write the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help=f"{PUBLISHED.file} from {PUBLISHED.url}")
    published = parser.parse_args().published.read_bytes()
    if hashlib.sha256(published).hexdigest() != PUBLISHED.sha256:
        parser.error(f"not {PUBLISHED.file} with sha256 {PUBLISHED.sha256}")
    shipped = with_free_axes(published)
    manifest = msgspec.json.format(msgspec.json.encode(manifest_of(shipped)), indent=2)
    (MODELS / f"{NAME}.onnx").write_bytes(shipped)
    (MODELS / f"{NAME}.json").write_bytes(manifest + b"\n")


if __name__ == "__main__":
    main()
