"""The shipped face detector is the one its manifest describes, and no other file is loaded."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec
import onnx
import pytest

from maskwatch.errors import WeightsError
from maskwatch.vision import weights
from maskwatch.vision.manifest import shipped_folder
from maskwatch.vision.weights import face_detector_manifest, yunet_bytes
from tools.make_face_detector import manifest_of, with_free_axes

_MANIFEST = face_detector_manifest()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped models that a test may damage."""
    folder = tmp_path / "models"
    shutil.copytree(shipped_folder(), folder)
    monkeypatch.setattr(weights, "shipped_folder", lambda: folder)
    return folder


def test_the_shipped_detector_is_the_one_its_manifest_describes() -> None:
    data = yunet_bytes()
    assert len(data) == _MANIFEST.size
    assert hashlib.sha256(data).hexdigest() == _MANIFEST.sha256


def test_the_shipped_detector_takes_any_picture_size() -> None:
    graph = onnx.load_from_string(yunet_bytes()).graph
    sides = graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value or side.dim_param for side in sides] == [1, 3, "H", "W"]
    assert not any(output.type.tensor_type.HasField("shape") for output in graph.output)
    assert len(graph.value_info) == 0


def test_the_script_that_made_the_detector_would_not_change_it() -> None:
    assert with_free_axes(yunet_bytes()) == yunet_bytes()
    assert manifest_of(yunet_bytes()) == _MANIFEST


def test_the_detectors_licence_is_shipped_with_it() -> None:
    text = (shipped_folder() / f"{_MANIFEST.id}.LICENSE.txt").read_text()
    assert _MANIFEST.copyright in text
    assert text.startswith(f"{_MANIFEST.licence} License")


def test_a_copy_of_the_shipped_detector_is_accepted(tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    copy.write_bytes(yunet_bytes())
    assert yunet_bytes(copy) == yunet_bytes()


def test_the_published_file_stands_for_the_shipped_one(models: Path, tmp_path: Path) -> None:
    """Configurations name it from the time when it was the pinned file."""
    published = tmp_path / "face_detection_yunet_2023mar.onnx"
    published.write_bytes(b"the file as published")
    source = msgspec.structs.replace(
        _MANIFEST.source, sha256=hashlib.sha256(published.read_bytes()).hexdigest()
    )
    manifest = msgspec.structs.replace(_MANIFEST, source=source)
    (models / f"{_MANIFEST.id}.json").write_bytes(msgspec.json.encode(manifest))
    assert yunet_bytes(published) == yunet_bytes()


def test_one_changed_byte_is_refused_with_both_hashes(tmp_path: Path) -> None:
    data = bytearray(yunet_bytes())
    data[1000] ^= 1
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(data)
    with pytest.raises(WeightsError, match=_MANIFEST.sha256) as caught:
        yunet_bytes(changed)
    assert hashlib.sha256(data).hexdigest() in str(caught.value)
    assert _MANIFEST.file in str(caught.value)


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    longer = tmp_path / "longer.onnx"
    longer.write_bytes(yunet_bytes() + bytes(1_000_000))
    with pytest.raises(WeightsError, match="not the pinned face detector"):
        yunet_bytes(longer)


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="face_weights") as caught:
        yunet_bytes(tmp_path / "none.onnx")
    assert "none.onnx" in str(caught.value)


def test_a_damaged_installation_is_reported(models: Path) -> None:
    (models / _MANIFEST.file).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="not the pinned face detector"):
        yunet_bytes()
    (models / f"{_MANIFEST.id}.json").write_bytes(b"{}")
    with pytest.raises(WeightsError, match="reinstall maskwatch"):
        yunet_bytes()
    (models / f"{_MANIFEST.id}.json").unlink()
    with pytest.raises(WeightsError, match="cannot read the face detector's manifest"):
        yunet_bytes()
