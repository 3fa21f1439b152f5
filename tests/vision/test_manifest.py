"""Manifests are read strictly, and a model that does not match is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from maskwatch.errors import ManifestError
from maskwatch.vision.manifest import (
    DEFAULT_MODEL,
    Figure,
    InputSpec,
    Manifest,
    OutputSpec,
    default_manifest,
    load_interpreter,
    read_manifest,
    shipped_manifests,
    write_manifest,
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the default model and its manifest that a test may change."""
    source = default_manifest()
    shutil.copy(source, tmp_path / "m.json")
    shutil.copy(source.parent / read_manifest(source).file, tmp_path)
    return tmp_path / "m.json"


def change_fields(path: Path, change: dict[str, Any]) -> None:
    """Change fields of a manifest; a dotted key reaches into a struct."""
    content = json.loads(path.read_text())
    for key, value in change.items():
        *outer, last = key.split(".")
        section = content
        for name in outer:
            section = section[name]
        section[last] = value
    path.write_text(json.dumps(content))


def test_every_shipped_model_matches_its_manifest() -> None:
    """The default is among them, and each loads."""
    paths = shipped_manifests()
    assert DEFAULT_MODEL in [path.stem for path in paths]
    for path in paths:
        manifest = read_manifest(path)
        assert manifest.id == path.stem or manifest.id.startswith(path.stem)
        load_interpreter(path, manifest)


def test_a_manifest_is_read_back_as_written(copy: Path) -> None:
    """What is written reads back equal."""
    manifest = read_manifest(copy)
    write_manifest(copy, manifest)
    assert read_manifest(copy) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["without_mask", "with_mask"]}, "labels are"),
        ({"labels": ["with_mask", "beard"]}, "labels"),
        ({"prior": {"with_mask": 1.0}}, "`prior` must name each label once"),
        ({"prior.with_mask": 0.99}, "sum to 1"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": 1e308}, "temperature"),
        ({"offsets": {"beard": 1.0}}, "offsets"),
        ({"offsets": {"without_mask": 9.0}}, "offsets"),
        ({"input.scale": 0.0039}, "raw RGB needs"),
        ({"input.size": 9000}, "size"),
        ({"format": 2}, "format"),
        ({"file": "../other.tflite"}, "file"),
        ({"file": "a\x00.tflite"}, "file"),
        ({"sha256": "abc"}, "sha256"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_named(copy: Path, change: dict[str, Any], message: str) -> None:
    """The error says which file and which field."""
    change_fields(copy, change)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(copy)
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input.size": 64}, "input shape"),
        ({"input.dtype": "int8"}, "input dtype"),
        ({"input.zero_point": 128}, "input zero_point"),
        ({"output.scale": 1.0}, "output scale"),
        ({"sha256": "0" * 64}, "sha256 is"),
        ({"file": "missing.tflite"}, "cannot read missing.tflite"),
    ],
)
def test_a_model_that_differs_is_refused(copy: Path, change: dict[str, Any], message: str) -> None:
    """Every statement of the manifest about the model is checked."""
    change_fields(copy, change)
    with pytest.raises(ManifestError, match=message):
        load_interpreter(copy, read_manifest(copy))


def test_a_changed_model_file_is_refused(copy: Path) -> None:
    """One flipped byte is enough."""
    manifest = read_manifest(copy)
    model = copy.parent / manifest.file
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    with pytest.raises(ManifestError, match="the file was changed"):
        load_interpreter(copy, manifest)


def test_a_manifest_that_is_not_json_is_refused(tmp_path: Path) -> None:
    """For example the model file given in place of its manifest."""
    (tmp_path / "x.json").write_bytes(b"TFL3 not json")
    with pytest.raises(ManifestError, match="not JSON"):
        read_manifest(tmp_path / "x.json")
    with pytest.raises(ManifestError, match="cannot read the manifest"):
        read_manifest(tmp_path / "none.json")


def test_the_documentation_names_every_field_of_a_manifest() -> None:
    text = (Path(__file__).parents[2] / "docs/training.md").read_text()
    section = text.split("## A model made elsewhere")[1].split("\n## ")[0]
    for kind in (Manifest, InputSpec, OutputSpec):
        for name in kind.__struct_fields__:
            assert f"`{name}`" in section, name


def test_an_invalid_manifest_is_not_written(copy: Path) -> None:
    manifest, before = read_manifest(copy), copy.read_bytes()
    figure = Figure("accuracy", "nothing", float("nan"), 0, "", "", "")
    with pytest.raises(ManifestError, match="nothing was written"):
        write_manifest(copy, msgspec.structs.replace(manifest, metrics=(figure,)))
    assert copy.read_bytes() == before
