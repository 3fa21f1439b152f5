"""The wrapper of the TFLite runtime."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from maskwatch.errors import DependencyError, ModelError
from maskwatch.vision import interpreter
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import default_manifest, read_manifest


@pytest.fixture(scope="module")
def model() -> Path:
    """The shipped model's file."""
    path = default_manifest()
    return path.parent / read_manifest(path).file


def test_the_shipped_model_takes_raw_rgb(model: Path) -> None:
    """uint8 in, scale 1/127.5, int8 logits out."""
    loaded = Interpreter.from_file(model)
    assert loaded.input.dtype == "uint8"
    assert loaded.input.scale == pytest.approx(1 / 127.5, rel=0.01)
    assert loaded.output.dtype == "int8"


def test_a_batch_is_its_images_one_by_one(model: Path) -> None:
    """The order is kept and images do not affect each other."""
    loaded = Interpreter.from_file(model)
    images = np.random.default_rng(0).integers(0, 256, (3, *loaded.input.shape[1:]), np.uint8)
    both = loaded.run(images)
    assert both.dtype == np.float32
    assert (both == np.concatenate([loaded.run(images[i : i + 1]) for i in range(3)])).all()
    assert loaded.run(images[:0]).shape == (0, both.shape[1])


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "x.tflite").write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=r"x\.tflite: not a TFLite model"):
        Interpreter.from_file(tmp_path / "x.tflite")
    with pytest.raises(ModelError, match="cannot read the model"):
        Interpreter.from_file(tmp_path / "none.tflite")


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 127, 255]), ("int8", [-128, -1, 127]), ("float32", [-1, -0.00392, 1])],
)
def test_each_input_type_gets_its_value_range(dtype: interpreter.Dtype, expected: list[float]) -> None:
    """Raw RGB, RGB less 128, or RGB / 127.5 - 1: the same colours."""
    found = interpreter._as_input(np.array([0, 127, 255], np.uint8), dtype)
    assert found.dtype == dtype
    assert found == pytest.approx(expected, abs=1e-3)


def test_without_a_runtime_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """With neither package: a DependencyError."""

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(DependencyError, match="ai-edge-litert"):
        interpreter._runtime()


def test_loading_a_model_prints_no_info_line(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Interpreter.from_file(model)
    assert capfd.readouterr().err == ""


def test_what_the_runtime_reports_beside_info_lines_is_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with interpreter._without_info_lines():
        os.write(2, b"INFO: created\nERROR: broken\n")
    assert capfd.readouterr().err == "ERROR: broken\n"


def test_a_model_that_is_kept_for_forks_is_given_out_once(model: Path) -> None:
    with interpreter.kept_for_forks():
        kept = Interpreter.from_file(model)
    first, second = Interpreter.from_file(model), Interpreter.from_file(model)
    assert first._interpreter is kept._interpreter
    assert second._interpreter is not kept._interpreter
    images = np.full((1, 112, 112, 3), 90, np.uint8)
    np.testing.assert_array_equal(first.run(images), second.run(images))
