"""From a Keras model to TFLite: float32, and full-integer int8 with per-channel weights."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskwatch.errors import DataError
from maskwatch.lab.training.network import scaled
from maskwatch.lab.training.rounding import rounded_depthwise

__all__ = ["to_float", "to_int8", "to_int8_corrected"]


_FOR_RANGES: Final = 300
_FOR_MEANS: Final = 192


def to_float(model: Any) -> bytes:
    """Return the model as a float32 .tflite file (input ``rgb / 127.5 - 1``, output logits)."""
    return _converted(tf.lite.TFLiteConverter.from_keras_model(model))


def to_int8_corrected(model: Any, judged: npt.NDArray[np.uint8], seed: int) -> bytes:
    """Return the int8 model with depthwise weights rounded so that the answers stay.

    Ranges and means come from some of `judged` (n, size, size, 3), drawn by `seed`. The model itself
    is left as it was.
    """
    order = np.random.default_rng(seed).permutation(len(judged))
    with rounded_depthwise(model, judged[order[:_FOR_MEANS]]):
        return to_int8(model, judged[order[:_FOR_RANGES]])


def to_int8(model: Any, representative: npt.NDArray[np.uint8]) -> bytes:
    """Return the model as int8: raw uint8 RGB in, int8 logits out.

    `representative` are uint8 RGB crops (n, size, size, 3) as serving sees them, 100 or more for a
    model that is to be used; the ranges of all activations are taken from them. Pure black and
    white are added, so that the input's scale is 1/127.5 whatever the crops hold.
    """
    if len(representative) == 0:
        raise DataError("quantization needs representative crops; the validation split is empty")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _with_extremes(representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    return _converted(converter)


def _with_extremes(images: npt.NDArray[np.uint8]) -> Iterator[list[npt.NDArray[np.float32]]]:
    first = images[0].copy()
    first[0, 0], first[0, 1] = 0, 255
    yield [scaled(first[None])]
    for image in images[1:]:
        yield [scaled(image[None])]


def _converted(converter: Any) -> bytes:
    """Return the converted model; the converter's chatter on stdout and its own warnings are dropped."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return bytes(converter.convert())
