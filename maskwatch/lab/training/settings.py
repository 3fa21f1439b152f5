"""The settings of a training run, kept in its folder so that it can be resumed or repeated."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from maskwatch.errors import DataError, UsageError
from maskwatch.files import MIB, read_file
from maskwatch.vision.manifest import ModelId, shipped_ids

Recipe = Literal["cctv", "paper", "features"]
_FILE = "settings.json"
_RUN_FILES = {"settings", "report"}  # a manifest of this name would replace the run's own file
_MAX_NAME = 64


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All inputs of a run, except for the pictures and the versions of the libraries.

    Attributes:
        data: folders of crops, one sub-folder per class.
        scenes: annotation files of whole photographs.
        leaks: lists of training pictures that show a test picture.
        recipe: `cctv` fine-tunes the whole network on pictures degraded like a camera's;
            `paper` trains a new head on a frozen network; `features` fits scikit-learn
            classifiers to the frozen network's features.
        hold_out: sources that are measured and never trained on.
        drop: sources that are ignored.
        size: side of the network's input in pixels.
        width: width multiplier of MobileNetV2.
        margin: share of the face box's longer side added on every side.
        epochs: number of epochs; an epoch is `samples` crops sampled by class and source.
        samples: crops per epoch; 0: the number of pictures.
        batch: crops per step.
        freeze: lowest blocks of MobileNetV2 that keep ImageNet's weights: training is faster.
        threads: of TensorFlow; 0: one per processor. With one, deterministic kernels are not slower.
        rate: peak learning rate.
        strength: of the degradations, 0 to 1.
        seed: of every random choice.
        lean: bias in nats added to the calibrated logit of "no mask", chosen on a held-out source.
        validation: share of the pictures for validation, in whole groups.
        weights: ImageNet weights (.h5 without the top), a `.keras` file of an earlier run, a
            model's manifest, the id of a shipped model, "none", or "" for those that Keras downloads.
        teacher: `.keras` file of a run whose outputs are mixed into the targets, or "".
        name: id of the model; "" in the folders of versions that had no such setting.
        licence: of the model.
        data_licence: of the pictures.
    """

    data: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    recipe: Recipe = "cctv"
    hold_out: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    size: Annotated[int, Meta(ge=32, le=512)] = 112
    width: Annotated[float, Meta(gt=0, le=1.4)] = 1.0
    margin: Annotated[float, Meta(ge=0, le=1)] = 0.15
    epochs: Annotated[int, Meta(ge=1)] = 20
    samples: Annotated[int, Meta(ge=0)] = 6000
    batch: Annotated[int, Meta(ge=1)] = 64
    freeze: Annotated[int, Meta(ge=0, le=16)] = 0
    threads: Annotated[int, Meta(ge=0)] = 0
    rate: Annotated[float, Meta(gt=0)] = 1e-3
    strength: Annotated[float, Meta(ge=0, le=1)] = 1.0
    seed: Annotated[int, Meta(ge=0)] = 42
    lean: Annotated[float, Meta(ge=-5, le=5)] = 0.0
    validation: Annotated[float, Meta(gt=0, lt=0.9)] = 0.1
    weights: str = ""
    teacher: str = ""
    name: str = ""
    licence: str = "not stated"
    data_licence: str = "not stated"


def write_settings(run: Path, settings: Settings) -> None:
    """Write the settings into the run folder."""
    # A folder's name may be no UTF-8: this encoder, and not msgspec's, writes and reads any name.
    text = json.dumps(msgspec.to_builtins(settings), indent=2)
    (run / _FILE).write_text(text + "\n", encoding="ascii")


def read_settings(run: Path) -> Settings:
    """Return the settings of a run folder. Raises UsageError if there are none, DataError if damaged."""
    path = run / _FILE
    try:
        return msgspec.convert(json.loads(read_file(path, MIB)), Settings)
    except OSError as error:
        raise UsageError(
            f"{run}: not a run folder: {_FILE} cannot be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise DataError(f"{path}: {error}") from error


def with_name(settings: Settings, run: Path) -> Settings:
    """Return the settings with the model's name, which is derived from the run's folder if none is set.

    Raises UsageError for a name that is not usable, or that a shipped model has.
    """
    reserved = shipped_ids() | _RUN_FILES
    name = settings.name
    if not name:
        name = _derived(run)
        return msgspec.structs.replace(settings, name=f"{name}-trained" if name in reserved else name)
    try:
        msgspec.convert(name, ModelId)
    except msgspec.ValidationError:
        raise UsageError(
            f"{name!r} is not a name for a model: expected 1 to {_MAX_NAME} lower-case letters, digits, "
            "'.', '_' and '-', with a letter or digit first"
        ) from None
    if name in reserved:
        raise UsageError(
            f"{name!r} is the name of a shipped model or of a file of the run; choose another"
        )
    return settings


def _derived(run: Path) -> str:
    """Return the folder's name with `-` for what a model's id may not have."""
    name = re.sub(r"[^a-z0-9._-]+", "-", run.resolve().name.lower()).strip("._-")
    return name[: _MAX_NAME - len("-trained")] or "model"
