"""The shipped face detector is the one its manifest describes, and no other file is loaded."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maskwatch.errors import WeightsError
from maskwatch.vision import weights
from maskwatch.vision.interpreter import PictureNetwork
from maskwatch.vision.manifest import shipped_folder
from maskwatch.vision.weights import face_detector_manifest, yunet_bytes

_MANIFEST = face_detector_manifest()
_ONNX = Path(__file__).with_name("golden") / "yunet-2023mar.onnx"


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
    network = PictureNetwork(yunet_bytes(), "yunet", 32)
    for height, width in ((32, 32), (360, 640), (97, 131), (32, 32)):
        outputs = network.run(np.zeros((height, width, 3), np.uint8))
        rows, columns = height + -height % 32, width + -width % 32
        assert sorted(out.shape for out in outputs) == [
            (rows // stride, columns // stride, 16) for stride in (32, 16, 8)
        ]


@pytest.mark.long
@pytest.mark.sweep
def test_the_script_that_made_the_detector_would_not_change_it() -> None:
    """In a process of its own: TensorFlow stays in memory."""
    code = (
        "from pathlib import Path\n"
        "from tools.make_face_detector import converted, manifest_of\n"
        f"found = manifest_of(converted(Path({str(_ONNX)!r}).read_bytes()))\n"
        "from maskwatch.vision.weights import face_detector_manifest\n"
        "assert found == face_detector_manifest(), found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_detectors_licence_is_shipped_with_it() -> None:
    text = (shipped_folder() / f"{_MANIFEST.id}.LICENSE.txt").read_text()
    assert _MANIFEST.copyright in text
    assert text.startswith(f"{_MANIFEST.licence} License")


def test_a_copy_of_the_shipped_detector_is_accepted(tmp_path: Path) -> None:
    copy = tmp_path / "mine.tflite"
    copy.write_bytes(yunet_bytes())
    assert yunet_bytes(copy) == yunet_bytes()


def test_a_file_that_it_was_made_from_stands_for_the_shipped_one() -> None:
    """Configurations name it from the time when it was the shipped file."""
    assert yunet_bytes(_ONNX) == yunet_bytes()
    assert hashlib.sha256(_ONNX.read_bytes()).hexdigest() == _MANIFEST.sources[1].sha256


def test_one_changed_byte_is_refused_with_both_hashes(tmp_path: Path) -> None:
    data = bytearray(yunet_bytes())
    data[1000] ^= 1
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(data)
    with pytest.raises(WeightsError, match=_MANIFEST.sha256) as caught:
        yunet_bytes(changed)
    assert hashlib.sha256(data).hexdigest() in str(caught.value)
    assert _MANIFEST.file in str(caught.value)


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    longer = tmp_path / "longer.tflite"
    longer.write_bytes(yunet_bytes() + bytes(1_000_000))
    with pytest.raises(WeightsError, match="not the pinned face detector"):
        yunet_bytes(longer)


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="face_weights") as caught:
        yunet_bytes(tmp_path / "none.tflite")
    assert "none.tflite" in str(caught.value)


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
