"""Makes the shipped face detector out of the published YuNet file, once.

    python -m tools.make_face_detector tests/vision/golden/yunet-2023mar.onnx

Writes models/yunet-2023mar.tflite and its manifest. Accepted are the published file, which fixes the
picture at 640 x 640 px, and the copy of it with free axes that the tests compare with; the weights of
both are the same. The network is built again operation by operation, since a general converter would
write the shapes of one picture size into the file. The four heads of each stride become one, which
computes the same numbers in fewer operations.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from maskwatch.vision.weights import FaceDetectorManifest, PublishedFile

MODELS = Path(__file__).resolve().parents[1] / "models"
NAME = "yunet-2023mar"
PUBLISHED = PublishedFile(
    file="face_detection_yunet_2023mar.onnx",
    url="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    size=232_589,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
FREE_AXES = PublishedFile(
    file=f"{NAME}.onnx",
    url=PUBLISHED.url,
    size=229_477,
    sha256="c448f893dc88d31b01ae0a9769568c04e02c7cb679329a61e26d257661c963e9",
)
_STRIDES = (8, 16, 32)
_HEADS = ("cls", "obj", "bbox", "kps")
_TRACED_AT = 320  # px, the picture size that the file states; the runtime sets another one

Array: TypeAlias = npt.NDArray[np.float32]
Values: TypeAlias = "dict[str, tf.Tensor]"


class _Published:
    """The graph of the published file: its constants, and its operations by their output."""

    def __init__(self, data: bytes) -> None:
        graph = onnx.load_from_string(data).graph
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self.nodes = list(graph.node)
        self._makers = {node.output[0]: node for node in self.nodes}

    def head(self, name: str) -> tuple[Any, Any]:
        """Return the two convolutions (pointwise, depthwise) of an output such as "cls_8"."""
        node = self._makers[name]
        while node.op_type != "Conv":
            node = self._makers[node.input[0]]
        return self._makers[node.input[0]], node

    def merged(self, convolutions: list[Any]) -> tuple[Array, Array]:
        """Return the weights and biases of convolutions as those of one with all their outputs."""
        weights = [self.constants[convolution.input[1]] for convolution in convolutions]
        biases = [self.constants[convolution.input[2]] for convolution in convolutions]
        return np.concatenate(weights), np.concatenate(biases)


def _convolved(x: tf.Tensor, weights: Array, bias: Array, stride: int = 1) -> tf.Tensor:
    """Convolve (1, H, W, channels) with weights (out, in, k, k), padding by k // 2 on each side."""
    side = weights.shape[2]
    padding = "SAME"
    if stride > 1:  # TensorFlow would pad on the right and below only
        x, padding = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), "VALID"
    if weights.shape[1] == 1 and side > 1:
        kernel = weights.transpose(2, 3, 0, 1)
        return tf.nn.bias_add(tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding), bias)
    return tf.nn.bias_add(tf.nn.conv2d(x, weights.transpose(2, 3, 1, 0), stride, padding), bias)


def _doubled(x: tf.Tensor) -> tf.Tensor:
    """Repeat each pixel twice in each direction, without stating a size."""
    return tf.nn.depth_to_space(tf.concat([x] * 4, axis=3), 2)


def _operations(published: _Published) -> Mapping[str, Callable[[Any, Values], tf.Tensor]]:
    def convolution(node: Any, values: Values) -> tf.Tensor:
        stride = next(a for a in node.attribute if a.name == "strides").ints[0]
        weights, bias = (published.constants[name] for name in node.input[1:])
        return _convolved(values[node.input[0]], weights, bias, stride)

    return {
        "Conv": convolution,
        "Relu": lambda node, values: tf.nn.relu(values[node.input[0]]),
        "MaxPool": lambda node, values: tf.nn.max_pool2d(values[node.input[0]], 2, 2, "VALID"),
        "Add": lambda node, values: values[node.input[0]] + values[node.input[1]],
        "Resize": lambda node, values: _doubled(values[node.input[0]]),
    }


def _network(published: _Published) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the network: from (1, H, W, 3) to (1, H / stride, W / stride, 16) of each stride.

    The 16 numbers are the two scores (0 to 1), four of the box and ten of the landmarks.
    """
    heads = {stride: [published.head(f"{name}_{stride}") for name in _HEADS] for stride in _STRIDES}
    merged = {id(conv) for pairs in heads.values() for pair in pairs for conv in pair}
    operations = _operations(published)

    def network(picture: tf.Tensor) -> dict[str, tf.Tensor]:
        values: Values = {"input": picture}
        for node in published.nodes:
            if node.op_type in operations and id(node) not in merged:
                values[node.output[0]] = operations[node.op_type](node, values)
        outputs = {}
        for stride, pairs in heads.items():
            pointwise, depthwise = ([pair[i] for pair in pairs] for i in (0, 1))
            x = _convolved(values[pointwise[0].input[0]], *published.merged(pointwise))
            x = _convolved(x, *published.merged(depthwise))
            outputs[f"stride_{stride}"] = tf.concat([tf.sigmoid(x[..., :2]), x[..., 2:]], axis=3)
        return outputs

    return network


def converted(published: bytes) -> bytes:
    """Return the float32 TFLite file of the network in an ONNX file."""
    picture = tf.TensorSpec((1, _TRACED_AT, _TRACED_AT, 3), tf.float32, name="picture")
    traced = tf.function(_network(_Published(published)), input_signature=[picture])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
    return bytes(converter.convert())


def manifest_of(shipped: bytes) -> FaceDetectorManifest:
    """Return the manifest of the shipped file."""
    return FaceDetectorManifest(
        format=2,
        id=NAME,
        description="YuNet face detector (Wu et al. 2023), any height and width, float32",
        licence="MIT",
        copyright="Copyright (c) 2020 Shiqi Yu <shiqi.yu@gmail.com>",
        file=f"{NAME}.tflite",
        size=len(shipped),
        sha256=hashlib.sha256(shipped).hexdigest(),
        input="float32 BGR (1, height, width, 3), 0 to 255; height and width multiples of 32",
        made_by="python -m tools.make_face_detector tests/vision/golden/yunet-2023mar.onnx",
        sources=(PUBLISHED, FREE_AXES),
    )


def main() -> None:
    """Check the published file and write the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help=f"{PUBLISHED.file} from {PUBLISHED.url}")
    published = parser.parse_args().published.read_bytes()
    if hashlib.sha256(published).hexdigest() not in {PUBLISHED.sha256, FREE_AXES.sha256}:
        parser.error(f"neither {PUBLISHED.file} nor {FREE_AXES.file} of the known sha256")
    shipped = converted(published)
    manifest = msgspec.json.format(msgspec.json.encode(manifest_of(shipped)), indent=2)
    (MODELS / f"{NAME}.tflite").write_bytes(shipped)
    (MODELS / f"{NAME}.json").write_bytes(manifest + b"\n")


if __name__ == "__main__":
    main()
