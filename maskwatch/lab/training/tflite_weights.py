"""Rebuilds the weights of a Keras MobileNetV2 from the .tflite file of a model.

A .tflite file has no batch normalization: the converter folds it into the convolution before it. The
convolutions get the dequantized weights, and the normalizations add the bias and change nothing else.
That is right in inference only. In training a normalization uses the statistics of the batch, so
`fit_normalizations` gives it those of real crops, with the scale and offset that keep the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from maskwatch.errors import WeightsError
from maskwatch.files import read_file
from maskwatch.vision.interpreter import MAX_MODEL
from maskwatch.vision.manifest import load_interpreter, read_manifest, shipped_folder, shipped_ids

_DTYPES: Final = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT32: np.int32,
}
_CONVOLUTIONS: Final = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
_BATCH: Final = 32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TfliteWeights:
    """Kernels and biases in the order of execution and in Keras's layout.

    Kernels are (rows, columns, inputs, outputs), (rows, columns, channels, 1) if depthwise, and
    (inputs, outputs) if dense.
    """

    convolutions: tuple[tuple[Floats, Floats], ...]
    dense: tuple[tuple[Floats, Floats], ...]


def manifest_of(weights: str) -> Path | None:
    """Return the manifest that `weights` names by its path or by the id of a shipped model, if any."""
    if weights.endswith(".json"):
        return Path(weights)
    return shipped_folder() / f"{weights}.json" if weights in shipped_ids() else None


def read_tflite(path: Path) -> TfliteWeights:
    """Return the weights of the model whose manifest is at `path`.

    Raises ManifestError if they do not match, WeightsError if the file has no such weights.
    """
    manifest = read_manifest(path)
    load_interpreter(path, manifest)
    raw = read_file(path.parent / manifest.file, MAX_MODEL)
    try:
        model = flatbuffer_utils.convert_bytearray_to_object(bytearray(raw))
        convolutions = _layers(model, _CONVOLUTIONS)
        dense = _layers(model, (schema.BuiltinOperator.FULLY_CONNECTED,))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: {manifest.file} has no usable weights: {error}") from error
    return TfliteWeights(
        tuple((kernel.transpose(1, 2, 3, 0), bias) for kernel, bias in convolutions),
        tuple((kernel.T, bias) for kernel, bias in dense),
    )


def _layers(model: Any, kinds: tuple[int, ...]) -> list[tuple[Floats, Floats]]:
    """Return kernel and bias of every operator of these kinds, as stored but dequantized."""
    (graph,) = model.subgraphs
    layers = []
    for operator in graph.operators:
        if _kind(model.operatorCodes[operator.opcodeIndex]) in kinds:
            _, kernel, bias = (graph.tensors[index] for index in operator.inputs)
            layers.append((_values(model, kernel), _values(model, bias)))
    return layers


def _kind(code: Any) -> int:
    # Files of older converters have the number in the deprecated field only.
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _values(model: Any, tensor: Any) -> Floats:
    """Return a constant tensor's real values."""
    data = bytes(model.buffers[tensor.buffer].data)
    values = np.frombuffer(data, _DTYPES[tensor.type]).reshape(tensor.shape)
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None:
        return values.astype(np.float32)
    shape = [1] * values.ndim
    shape[quantization.quantizedDimension] = -1
    scale, zero = (
        np.reshape(x, shape).astype(np.float64) for x in (quantization.scale, quantization.zeroPoint)
    )
    return np.asarray((values - zero) * scale, np.float32)


def set_backbone(base: Any, weights: TfliteWeights) -> None:
    """Give MobileNetV2 without its top these weights. Raises ValueError if they do not fit."""
    for (convolution, normalization), (kernel, bias) in zip(
        _pairs(base), weights.convolutions, strict=True
    ):
        convolution.set_weights([kernel])
        one = np.ones_like(bias)
        normalization.set_weights([one, bias, 0 * bias, one * (1 - normalization.epsilon)])


def set_head(dense: Any, weights: TfliteWeights) -> None:
    """Give the layer of logits the weights of the classes that both models have.

    A model with more than one dense layer (recipe `paper`) has no such weights; then nothing changes.
    """
    if len(weights.dense) != 1:
        return
    ((stored_kernel, stored_bias),) = weights.dense
    kernel, bias = dense.get_weights()
    classes = min(len(bias), len(stored_bias))
    kernel[:, :classes], bias[:classes] = stored_kernel[:, :classes], stored_bias[:classes]
    dense.set_weights([kernel, bias])


def _pairs(base: Any) -> list[tuple[Any, Any]]:
    """Return each convolution with its normalization; in MobileNetV2 they alternate."""
    kinds = keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.BatchNormalization
    layers = [layer for layer in base.layers if isinstance(layer, kinds)]
    return list(zip(layers[::2], layers[1::2], strict=True))


def fit_normalizations(model: Any, pictures: Floats) -> None:
    """Set the statistics of all batch normalizations to those of `pictures`.

    `pictures` are scaled crops (n, size, size, 3). The outputs in inference do not change.
    """
    base = next(layer for layer in model.layers if hasattr(layer, "layers"))
    pairs = _pairs(base)
    probe = keras.Model(base.input, [convolution.output for convolution, _ in pairs])
    for (_, normalization), (mean, variance) in zip(pairs, _statistics(probe, pictures), strict=True):
        gamma, beta, old_mean, old_variance = normalization.get_weights()
        scale = gamma / np.sqrt(old_variance + normalization.epsilon)
        gamma = scale * np.sqrt(variance + normalization.epsilon)
        normalization.set_weights([gamma, beta + scale * (mean - old_mean), mean, variance])


def _statistics(probe: Any, pictures: Floats) -> list[tuple[Floats, Floats]]:
    """Return mean and variance of every channel of each output, over pictures and positions."""
    sums: list[Any] = [0] * len(probe.outputs)
    for start in range(0, len(pictures), _BATCH):
        for number, output in enumerate(probe.predict_on_batch(pictures[start : start + _BATCH])):
            flat = np.asarray(output, np.float64).reshape(-1, output.shape[-1])
            sums[number] = sums[number] + np.array(
                [flat.sum(axis=0), (flat**2).sum(axis=0), np.full(flat.shape[1], len(flat))]
            )
    means = [(total / count, squares / count) for total, squares, count in sums]
    return [
        (mean.astype(np.float32), np.maximum(square - mean**2, 0).astype(np.float32))
        for mean, square in means
    ]
