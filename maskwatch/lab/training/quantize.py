"""Converts a Keras model to TFLite: float32, and full-integer int8 with per-channel weights."""

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
from maskwatch.lab.training.stages import OnStage, Stage, unreported, with_progress

_RANGE_CROPS: Final = 300
_MEAN_CROPS: Final = 192


def to_float(model: Any) -> bytes:
    """Return the model as a float32 .tflite file (input ``rgb / 127.5 - 1``, output logits)."""
    return _converted(tf.lite.TFLiteConverter.from_keras_model(model))


def to_int8_corrected(
    model: Any, crops: npt.NDArray[np.uint8], seed: int, on_stage: OnStage = unreported
) -> bytes:
    """Return the int8 model with depthwise weights rounded so that the outputs change little.

    Ranges and means come from a random choice (by `seed`) of `crops` (n, size, size, 3). The model is
    not changed.
    """
    order = np.random.default_rng(seed).permutation(len(crops))
    with rounded_depthwise(model, crops[order[:_MEAN_CROPS]], on_stage):
        return to_int8(model, crops[order[:_RANGE_CROPS]], on_stage)


def to_int8(model: Any, representative: npt.NDArray[np.uint8], on_stage: OnStage = unreported) -> bytes:
    """Return the model as int8: raw uint8 RGB in, int8 logits out.

    `representative` are uint8 RGB crops (n, size, size, 3) as in serving, at least 100 for a model
    that is used; they determine the ranges of all activations. Pure black and white are added, so
    that the input's scale is always 1/127.5.
    """
    if len(representative) == 0:
        raise DataError("quantization needs representative crops; the validation split is empty")
    on_stage(Stage("converting to int8 TFLite"))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _with_extremes(representative, on_stage)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    return _converted(converter)


def _with_extremes(
    images: npt.NDArray[np.uint8], on_stage: OnStage
) -> Iterator[list[npt.NDArray[np.float32]]]:
    first = images[0].copy()
    first[0, 0], first[0, 1] = 0, 255
    for image in with_progress([first, *images[1:]], "measuring the ranges of activations", on_stage):
        yield [scaled(image[None])]
    on_stage(Stage("quantizing the weights"))


def _converted(converter: Any) -> bytes:
    """Return the converted model; output of the converter on stdout and its warnings are dropped."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return bytes(converter.convert())
