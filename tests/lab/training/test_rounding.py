"""Rounded depthwise weights keep their sums, and outputs change little."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.lab.training.network import predict
from maskwatch.lab.training.rounding import round_keeping_sum, rounded_depthwise

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_weights_are_on_the_grid_and_sums_are_kept(seed: int, channels: int) -> None:
    """Each weight moves by less than two steps; each sum by half a step at most."""
    kernel = np.random.default_rng(seed).normal(0, 1, (3, 3, channels, 1)).astype(np.float32)
    found = round_keeping_sum(kernel)
    step = np.abs(kernel).max(axis=(0, 1, 3)) / 127
    units = found[..., 0] / step
    assert np.allclose(units, np.round(units), atol=1e-3)
    assert np.allclose(np.abs(found).max(axis=(0, 1, 3)), step * 127, rtol=1e-5)
    assert (np.abs(found - kernel)[..., 0] < 2 * step).all()
    assert (np.abs((found - kernel).sum(axis=(0, 1, 3))) <= 0.51 * step + 1e-6).all()


def test_a_dead_channel_stays_dead() -> None:
    """A channel of zeros causes no division by zero."""
    assert (round_keeping_sum(np.zeros((3, 3, 2, 1), np.float32)) == 0).all()


def network() -> keras.Model:
    """A depthwise layer whose input is nearly constant, and a batch normalization that magnifies it."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.ReLU(6.0)(keras.layers.Conv2D(8, 1, bias_initializer="ones")(inputs))
    x = keras.layers.DepthwiseConv2D(3, use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_outputs_change_little_and_the_weights_are_restored() -> None:
    """The mean error is at most a third of that of plain rounding."""
    keras.utils.set_random_seed(3)
    model = network()
    crops = np.random.default_rng(0).integers(100, 140, (32, 16, 16, 3), np.uint8)
    exact, own = predict(model, crops), model.get_weights()
    with rounded_depthwise(model, crops):
        error = np.abs(predict(model, crops) - exact).mean()
    assert all((a == b).all() for a, b in zip(own, model.get_weights(), strict=True))
    plain = [w.copy() for w in own]
    index = next(i for i, w in enumerate(plain) if w.shape == (3, 3, 8, 1))
    step = np.abs(plain[index]).max(axis=(0, 1, 3), keepdims=True) / 127
    plain[index] = np.round(plain[index] / step) * step
    model.set_weights(plain)
    assert error < np.abs(predict(model, crops) - exact).mean() / 3


def test_a_network_without_depthwise_layers_is_not_changed() -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    with rounded_depthwise(model, np.zeros((2, 8, 8, 3), np.uint8)):
        assert len(model.get_weights()) == 2
