"""The manifest of a mask model: all that is needed to use it, and its origin.

A manifest is JSON beside its .tflite file. It is read strictly: an unknown or missing field, a
file of another sha256, a model of another input is an error before the first frame is judged.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from maskwatch.errors import ManifestError
from maskwatch.files import MIB, json_text, read_file, read_json, replace_file
from maskwatch.vision.interpreter import MAX_MODEL, Dtype, Interpreter
from maskwatch.vision.preprocess import Preprocess

Label = Literal["with_mask", "without_mask", "mask_worn_incorrectly"]
LABELS: Final[tuple[Label, Label, Label]] = ("with_mask", "without_mask", "mask_worn_incorrectly")
DEFAULT_MODEL: Final = "masks-112"
_FORMAT: Final = 1
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_SCALE: Final = 1 / 127.5
_ID: Final = r"^[a-z0-9][a-z0-9._-]{0,63}\Z"
_MAX_MANIFEST: Final = MIB

Temperature = Annotated[float, Meta(ge=0.05, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
ModelId = Annotated[str, Meta(pattern=_ID)]


class InputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's input: a square crop of `size` pixels of the face box grown by `margin` per side.

    A quantized input's real value is ``scale * (number - zero_point)``; a float input takes
    ``rgb / 127.5 - 1`` and has scale 0.
    """

    size: Annotated[int, Meta(ge=16, le=512)]
    margin: Annotated[float, Meta(ge=0, le=1)]
    colour: Literal["rgb"]
    dtype: Dtype
    scale: float
    zero_point: int


class OutputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's output: logits (before softmax), one per label."""

    kind: Literal["logits"]
    dtype: Dtype
    scale: float
    zero_point: int


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measured figure and the command that measures it; `low` and `high`: 95 % interval."""

    name: str
    on: str
    value: float
    count: int
    command: str
    machine: str
    date: str
    low: float | None = None
    high: float | None = None


class DataSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One collection of photographs the model was trained on."""

    name: str
    images: int
    licence: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of one model.

    Attributes:
        format: version of this layout.
        id: name of the model, stored with every violation.
        file: the .tflite file's name, in the manifest's folder.
        labels: classes in the order of the outputs.
        temperature: the raw logits are divided by it; fitted on the quantized model.
        offsets: added to the calibrated logits of these labels, in nats; they correct the bias
            measured on photographs of a source that was not in the training data.
        prior: share of each label in training; the evidence subtracts its logarithm.
        thresholds: calibrated probability per label; at ``mask_worn_incorrectly`` a reading
            counts as incorrect.
    """

    format: Annotated[int, Meta(ge=_FORMAT, le=_FORMAT)]
    id: ModelId
    created: datetime
    description: str
    licence: str
    file: Annotated[str, Meta(pattern=r"^[^/\\\x00-\x1f]+\.tflite$")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    labels: tuple[Label, ...]
    input: InputSpec
    output: OutputSpec
    temperature: Temperature
    prior: dict[Label, Share]
    thresholds: dict[Label, Share]
    metrics: tuple[Figure, ...]
    data: tuple[DataSource, ...]
    offsets: dict[Label, Annotated[float, Meta(ge=-5, le=5)]] = msgspec.field(default_factory=dict)

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess(self.input.size, self.input.margin)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at `path`, checked for consistency, but not against its model.

    Raises ManifestError, which names the file, the field and what was expected.
    """
    try:
        manifest = read_json(path, _MAX_MANIFEST, Manifest)
    except OSError as error:
        raise ManifestError(f"{path}: cannot read the manifest: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise ManifestError(f"{path}: {error}") from error
    except msgspec.DecodeError as error:
        raise ManifestError(f"{path}: not JSON: {error}; expected a model's manifest") from error
    _check(path, manifest)
    return manifest


def _check(path: Path, manifest: Manifest) -> None:
    """Raise ManifestError for fields that contradict each other."""
    if manifest.labels not in (LABELS, LABELS[:2]):
        raise ManifestError(
            f"{path}: labels are {list(manifest.labels)}; expected {list(LABELS[:2])} or {list(LABELS)}"
        )
    if set(manifest.prior) != set(manifest.labels):
        raise ManifestError(f"{path}: `prior` must name each label once: {list(manifest.labels)}")
    total = sum(manifest.prior.values())
    if not math.isclose(total, 1.0, abs_tol=0.01) or min(manifest.prior.values()) <= 0:
        raise ManifestError(f"{path}: `prior` must be positive and sum to 1, it sums to {total:.3f}")
    for name, named in (("thresholds", manifest.thresholds), ("offsets", manifest.offsets)):
        if not set(named) <= set(manifest.labels):
            raise ManifestError(f"{path}: `{name}` names a label that the model does not have")
    quantized = manifest.input.dtype != "float32"
    if quantized and not math.isclose(manifest.input.scale, _SCALE, rel_tol=0.02):
        raise ManifestError(
            f"{path}: input scale is {manifest.input.scale:.6f}; raw RGB needs {_SCALE:.6f} (1/127.5)"
        )


def load_interpreter(path: Path, manifest: Manifest, threads: int = 1) -> Interpreter:
    """Return the loaded model of the manifest at `path`; raises ManifestError where they differ."""
    model_path = path.parent / manifest.file
    try:
        model = read_file(model_path, MAX_MODEL)
    except OSError as error:
        raise ManifestError(f"{path}: cannot read {manifest.file}: {error.strerror}") from error
    found = hashlib.sha256(model).hexdigest()
    if found != manifest.sha256:
        raise ManifestError(
            f"{model_path}: sha256 is {found}, the manifest states {manifest.sha256}; "
            "the file was changed or belongs to another manifest"
        )
    interpreter = Interpreter(model, manifest.file, threads)
    _compare(path, manifest, interpreter)
    return interpreter


def _compare(path: Path, manifest: Manifest, model: Interpreter) -> None:
    size = manifest.input.size
    pairs = (
        ("input shape", (1, size, size, 3), model.input.shape),
        ("input dtype", manifest.input.dtype, model.input.dtype),
        ("input zero_point", manifest.input.zero_point, model.input.zero_point),
        ("output shape", (1, len(manifest.labels)), model.output.shape),
        ("output dtype", manifest.output.dtype, model.output.dtype),
        ("output zero_point", manifest.output.zero_point, model.output.zero_point),
    )
    for what, stated, found in pairs:
        if stated != found:
            raise ManifestError(f"{path}: {what}: the manifest states {stated}, the model has {found}")
    scales = (
        ("input", manifest.input.scale, model.input.scale),
        ("output", manifest.output.scale, model.output.scale),
    )
    for what, scale, found_scale in scales:
        if not math.isclose(scale, found_scale, rel_tol=1e-4, abs_tol=1e-9):
            raise ManifestError(
                f"{path}: {what} scale: the manifest states {scale}, the model has {found_scale}"
            )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest` as indented JSON that `read_manifest` accepts, whole or not at all.

    Raises:
        ManifestError: it would not be accepted.
        OSError: it cannot be written; an existing file is unchanged.
    """
    text = json_text(manifest, indent=2).encode() + b"\n"
    try:
        _check(path, msgspec.json.decode(text, type=Manifest))
    except msgspec.ValidationError as error:
        raise ManifestError(f"{path}: {error}; nothing was written") from error
    replace_file(path, text)


def shipped_folder() -> Path:
    """Return where the shipped models are: inside an installed package, or beside it in a checkout."""
    installed = _PACKAGE / "_models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


def shipped_manifests() -> list[Path]:
    """Return the manifests of all shipped mask models, by name."""
    return sorted(shipped_folder().glob("masks-*.json"))


def shipped_ids() -> set[str]:
    """Return the ids of all shipped models, detectors included: no other model may have them."""
    return {path.stem for path in shipped_folder().glob("*.json")}


def default_manifest() -> Path:
    """Return the shipped default model's manifest. Raises ManifestError where it is missing."""
    path = shipped_folder() / f"{DEFAULT_MODEL}.json"
    if not path.is_file():
        raise ManifestError(f"{path}: the shipped model is missing; reinstall maskwatch, or set `model`")
    return path
