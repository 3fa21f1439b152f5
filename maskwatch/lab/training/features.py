"""The `features` recipe: scikit-learn classifiers on features of the frozen ImageNet network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from maskwatch.lab.training.metrics import Floats, Ints
from maskwatch.lab.training.network import backbone, predict
from maskwatch.lab.training.settings import Settings


@dataclass(frozen=True, slots=True)
class Classical:
    """A fitted scikit-learn classifier whose decision values are used as logits."""

    name: str
    pipeline: Pipeline

    def logits(self, features: Floats) -> Floats:
        """Return decision values (n, classes); two classes get (-d / 2, d / 2)."""
        values = np.asarray(self.pipeline.decision_function(features), np.float32)
        return values if values.ndim == 2 else np.stack([-values / 2, values / 2], axis=1)

    def as_head(self, extract: Any) -> keras.Model:
        """Return a Keras model of the network and this classifier, for quantization."""
        scaler, linear = self.pipeline[0], self.pipeline[-1]
        kernel, bias = linear.coef_ / scaler.scale_, linear.intercept_
        bias = bias - kernel @ scaler.mean_
        if len(kernel) == 1:
            kernel, bias = np.concatenate([-kernel, kernel]) / 2, np.concatenate([-bias, bias]) / 2
        dense = keras.layers.Dense(len(bias), name="logits")
        model = keras.Model(extract.inputs, dense(extract.outputs[0]))
        dense.set_weights([kernel.T.astype(np.float32), bias.astype(np.float32)])
        return model


def extractor(settings: Settings) -> keras.Model:
    """Return the frozen network with its pooled features (1,280 at width 1) as output."""
    base = backbone(settings.size, settings.width, settings.weights)
    base.trainable = False
    inputs = keras.Input((settings.size, settings.size, 3))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(base(inputs, training=False)))


def fit_classical(
    extract: Any, images: npt.NDArray[np.uint8], labels: Ints, seed: int
) -> tuple[list[Classical], Floats]:
    """Return a logistic regression and a linear SVM fitted to `images`, and the images' features.

    `images` are uint8 RGB (n, size, size, 3).
    """
    features = predict(extract, images)
    classifiers = {
        "logistic regression": LogisticRegression(C=0.01, max_iter=2000, random_state=seed),
        "linear SVM": LinearSVC(C=0.0005, random_state=seed, max_iter=5000),
    }
    fitted = [
        Classical(name, make_pipeline(StandardScaler(), classifier).fit(features, labels))
        for name, classifier in classifiers.items()
    ]
    return fitted, features
