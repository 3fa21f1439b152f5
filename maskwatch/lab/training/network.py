"""The network: MobileNetV2 (Sandler et al. 2018) with a head whose outputs are logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import keras
import msgspec
import numpy as np
import numpy.typing as npt

from maskwatch.errors import WeightsError
from maskwatch.lab.training.settings import Settings
from maskwatch.lab.training.tflite_weights import manifest_of, read_tflite, set_backbone, set_head

_MOMENTUM: Final = 0.97
_KERAS_WIDTHS: Final = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def scaled(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return ``rgb / 127.5 - 1``: the values that the quantized model's input represents."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


def backbone(size: int, width: float, weights: str) -> keras.Model:
    """Return MobileNetV2 without its top.

    `weights` is a file of ImageNet weights without the top, a model's manifest, the id of a shipped
    model, "none", or "" for those that Keras downloads (for a size without weights, those of 224 px).
    Raises ManifestError or WeightsError.
    """
    shape = (size, size, 3)
    manifest = manifest_of(weights)
    tflite = None if manifest is None else read_tflite(manifest)
    try:
        if weights:
            base = keras.applications.MobileNetV2(shape, alpha=width, include_top=False, weights=None)
            if tflite is not None:
                set_backbone(base, tflite)
            elif weights != "none":
                base.load_weights(weights)
            return base
        return keras.applications.MobileNetV2(shape, alpha=width, include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises plain Exception if a download fails
        widths = ", ".join(map(str, _KERAS_WIDTHS))
        raise WeightsError(
            f"no weights for MobileNetV2 of width {width:g} from {weights or 'Keras'}: {error}; "
            f"use --weights FILE (.h5 without the top, of this width; or a manifest) or none; "
            f"Keras has {widths}"
        ) from error


def build(settings: Settings, classes: int) -> keras.Model:
    """Return the untrained network of `settings` with `classes` logits.

    The paper's recipe freezes the backbone. In fine-tuning the batch statistics adapt to the new
    pictures; ImageNet's momentum of 0.999 would be too slow for so short a run.
    """
    if settings.weights.endswith(".keras"):
        return _with_weights_of(load_model(Path(settings.weights)), settings, classes)
    base = backbone(settings.size, settings.width, settings.weights)
    base.trainable = settings.recipe == "cctv"
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    _freeze(base, settings.freeze)
    inputs = keras.Input((settings.size, settings.size, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(inputs))
    if settings.recipe == "paper":
        x = keras.layers.Dense(128, activation="relu")(x)
        x = keras.layers.Dropout(0.5)(x)
    else:
        x = keras.layers.Dropout(0.2)(x)
    logits = keras.layers.Dense(classes, name="logits")
    model = keras.Model(inputs, logits(x))
    manifest = manifest_of(settings.weights)
    if manifest is not None and settings.recipe != "paper":
        set_head(logits, read_tflite(manifest))
    return model


def _freeze(base: keras.Model, blocks: int) -> None:
    """Make the first `blocks` blocks, and the convolution before them, untrainable."""
    last = {0: "", 1: "expanded_conv_project_BN"}.get(blocks, f"block_{blocks - 1}_project_BN")
    names = [layer.name for layer in base.layers]
    for layer in base.layers[: names.index(last) + 1 if last else 0]:
        layer.trainable = False


def _with_weights_of(earlier: keras.Model, settings: Settings, classes: int) -> keras.Model:
    """Return the network of `settings` with the weights of an earlier run, of any input size."""
    model = build(msgspec.structs.replace(settings, weights="none"), classes)
    try:
        model.set_weights(earlier.get_weights())
    except ValueError as error:
        raise WeightsError(
            f"{settings.weights}: not of width {settings.width:g} with {classes} classes: {error}"
        ) from error
    return model


def load_model(path: Path, *, to_train: bool = False) -> keras.Model:
    """Return a `.keras` model, with its optimizer if `to_train`. Raises WeightsError."""
    try:
        return keras.saving.load_model(path, compile=to_train)
    except Exception as error:  # damaged files raise exceptions of zipfile, h5py, json, Keras and others
        raise WeightsError(f"{path}: cannot load the model: {error}") from error


def predict(model: Any, images: npt.NDArray[np.uint8], batch: int = 128) -> npt.NDArray[np.float32]:
    """Return logits (n, classes) of uint8 RGB images (n, size, size, 3)."""
    rows = [
        np.asarray(model.predict_on_batch(scaled(images[i : i + batch])), np.float32)
        for i in range(0, len(images), batch)
    ]
    return np.concatenate(rows)
