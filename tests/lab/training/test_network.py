"""Which layers of the network are trained."""

from __future__ import annotations

import keras
import pytest

from maskwatch.lab.training.network import build
from maskwatch.lab.training.settings import Settings

pytestmark = [
    pytest.mark.timeout(600),
    # Keras 3 under numpy 2 warns about its own use of it.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def layers(freeze: int) -> list[keras.layers.Layer]:
    """Return the layers of the backbone with `freeze` blocks frozen."""
    settings = Settings(size=32, width=0.35, weights="none", freeze=freeze)
    return list(build(settings, 2).layers[1].layers)


@pytest.mark.parametrize(
    ("freeze", "last"), [(1, "expanded_conv_project_BN"), (4, "block_3_project_BN")]
)
def test_only_the_lowest_blocks_are_frozen(freeze: int, last: str) -> None:
    """Layers up to the block's last are frozen; the others are trained."""
    names = [layer.name for layer in layers(freeze)]
    learns = [layer.trainable for layer in layers(freeze)]
    assert not any(learns[: names.index(last) + 1])
    assert all(learns[names.index(last) + 1 :])


def test_nothing_is_frozen_by_default() -> None:
    """Fine-tuning trains the whole network."""
    assert all(layer.trainable for layer in layers(0))
