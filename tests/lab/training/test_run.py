"""`maskwatch train` from pictures to a model that `maskwatch models` accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click.testing
import msgspec
import numpy as np
import pytest

from maskwatch.cli.models import models
from maskwatch.cli.train import train
from maskwatch.errors import DataError, UsageError, WeightsError
from maskwatch.lab.training import run as training_run
from maskwatch.lab.training.network import backbone
from maskwatch.lab.training.prepare import prepare
from maskwatch.lab.training.report import EvaluatedSet, write_report
from maskwatch.lab.training.sampler import Batch
from maskwatch.lab.training.settings import read_settings, with_name
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import Manifest, read_manifest, write_manifest
from maskwatch.vision.masks import MaskClassifier
from tests.fakes.training_data import picture, write_csv

# MobileNetV2 has 154 layers at any size: tracing them takes longer than training does here.
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TINY = ["--size", "32", "--width", "0.35", "--weights", "none", "--batch", "8", "--validation", "0.25"]


def run(*arguments: str) -> str:
    """Run the verb; errors are raised unchanged."""
    result = click.testing.CliRunner().invoke(
        train, list(arguments), catch_exceptions=False, standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.mark.long
@pytest.mark.sweep  # minutes of converting
def test_pictures_become_a_model_with_manifest_and_report(
    faces: Callable[..., Path], hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run folder has all documented files, and the model works like a shipped one."""
    folder = faces(with_mask=12, without_mask=12, mask_worn_incorrectly=12)
    write_csv(
        folder / "split.csv", [{"path": f"with_mask/{i:03}.png", "split": "test"} for i in range(2)]
    )
    out = tmp_path / "run"
    text = run("--data", str(folder), "--scenes", str(hall), "--hold-out", "hall", "--epochs", "1",
               "--samples", "16", "--licence", "CC0-1.0", "--out", str(out), *TINY)  # fmt: skip
    assert "epoch 1: loss" in text
    assert "test: 2 faces" in text
    assert_every_stage_is_reported(text)
    files = (
        "settings.json", "history.csv", "history.png", "model.keras", "report.txt", "report.json",
        "confusion-validation.png", "float-against-int8-test.csv", "run-float.tflite",
    )  # fmt: skip
    for name in files:
        assert (out / name).stat().st_size > 0, name
    manifest = read_manifest(out / "run.json")
    assert (manifest.id, manifest.licence) == ("run", "CC0-1.0")
    assert {source.licence for source in manifest.data} == {"not stated"}
    assert sum(manifest.prior.values()) == pytest.approx(1)
    assert "hall" not in {source.name for source in manifest.data}
    rows = json.loads((out / "report.json").read_text())
    assert {(r["set"], r["variant"]) for r in rows} == {
        (s, v) for s in ("validation", "test", "held-out sources") for v in ("float", "int8")
    }
    model = MaskClassifier(out / "run.json")
    crop = model.manifest.preprocess.whole(picture("with_mask", 1).astype(np.uint8))
    exact = Interpreter.from_file(out / "run-float.tflite").run(crop[None])[0]
    assert model.logits([crop])[0] * manifest.temperature == pytest.approx(exact, abs=0.15)
    verified = click.testing.CliRunner().invoke(models, ["verify", str(out / "run.json")])
    assert "matches its manifest" in verified.output
    with pytest.raises(UsageError, match="has a run already"):
        run("--data", str(folder), "--out", str(out), *TINY)
    with monkeypatch.context() as patch:  # the export is the one above, and takes a minute
        patch.setattr(training_run, "_train", lambda *_: out / "run.json")
        assert "resuming after epoch 1 of 1" in run("--resume", str(out))
    assert_float_and_int8_are_compared_alike(out, read_manifest(out / "run.json"))


def assert_every_stage_is_reported(text: str) -> None:
    """Conversion and evaluation take minutes: each stage is named, with its progress."""
    stages = (
        "converting to float TFLite",
        "correcting the means of rounded layers: 17 of 17",
        "converting to int8 TFLite",
        "measuring the ranges of activations: 0 of",
        "quantizing the weights",
        "calibrating the int8 model: 1 of 1",
        "evaluating the float model on validation: 1 of 1",
        "evaluating the float model on test: 1 of 1",
        "evaluating the int8 model on held-out sources: 1 of 1",
        "writing the report",
    )
    positions = [text.index(stage) for stage in stages]
    assert positions == sorted(positions)


def assert_float_and_int8_are_compared_alike(out: Path, manifest: Manifest) -> None:
    """A bias that decides every prediction must apply to float and int8."""
    leaning = msgspec.structs.replace(manifest, offsets={"without_mask": 5.0})
    write_manifest(out / "run.json", leaning)
    settings = read_settings(out)
    prepared = prepare(settings, lambda _: None)
    crops = np.stack([MaskClassifier(out / "run.json").manifest.preprocess.whole(
        picture("with_mask", i).astype(np.uint8)) for i in range(8)])  # fmt: skip
    exact = Interpreter.from_file(out / "run-float.tflite").run(crops)
    names = tuple(f"picture {i}" for i in range(8))
    side = EvaluatedSet("leaning", names, Batch(crops, np.zeros(8, np.int64)), {"float": exact})
    write_report(out, settings, prepared, [side], leaning)
    assert "leaning: float and int8 disagree on 0 of 8 images" in (out / "report.txt").read_text()
    rows = (out / "float-against-int8-leaning.csv").read_text().splitlines()
    assert rows[1] == "picture 0,with_mask,without_mask,without_mask,0"


@pytest.mark.long
@pytest.mark.sweep
def test_scikit_learn_heads_are_fitted_and_quantized(faces: Callable[..., Path], tmp_path: Path) -> None:
    """The report has logistic regression, SVM, and the model made from the better one."""
    out = tmp_path / "run"
    text = run(
        "--data",
        str(faces(with_mask=12, without_mask=12)),
        "--recipe",
        "features",
        "--out",
        str(out),
        *TINY,
    )
    assert "logistic regression: accuracy" in text
    assert "linear SVM: accuracy" in text
    rows = {r["variant"]: r for r in json.loads((out / "report.json").read_text())}
    assert set(rows) == {"float", "int8", "logistic regression", "linear SVM"}
    best = max(("logistic regression", "linear SVM"), key=lambda name: rows[name]["accuracy"])
    assert rows["float"]["accuracy"] == rows[best]["accuracy"]


def test_errors_are_raised_before_training(faces: Callable[..., Path], tmp_path: Path) -> None:
    """No run folder is created."""
    out = tmp_path / "run"
    with pytest.raises(UsageError, match="nothing to train on"):
        run("--out", str(out))
    with pytest.raises(DataError, match="no pictures of without_mask"):
        run("--data", str(faces("one", with_mask=3)), "--out", str(out))
    with pytest.raises(DataError, match="web: no such source"):
        run(
            "--data",
            str(faces("two", with_mask=3, without_mask=3)),
            "--hold-out",
            "web",
            "--out",
            str(out),
        )
    with pytest.raises(UsageError, match="not a run folder"):
        run("--resume", str(tmp_path))
    with pytest.raises(UsageError, match="--epochs, --seed: a run continues with its original settings"):
        run("--resume", str(tmp_path), "--seed", "7", "--epochs", "9")
    assert not out.exists()


def test_a_name_that_is_not_free_is_an_error_before_training(
    faces: Callable[..., Path], tmp_path: Path
) -> None:
    """Names of shipped models, of files of the run, and names that are no id."""
    data = ["--data", str(faces(with_mask=3, without_mask=3)), "--out", str(tmp_path / "run")]
    for name in ("masks-112", "yunet-2023mar", "report", "settings"):
        with pytest.raises(UsageError, match="choose another"):
            run(*data, "--name", name)
    for name in ("Mine", "-mine", "my/model", "m" * 65, "gr\u00fcn", "mine\n"):
        with pytest.raises(UsageError, match="expected 1 to 64 lower-case letters"):
            run(*data, "--name", name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("hall-2", "hall-2"),
        ("Hall No. 2", "hall-no.-2"),
        ("masks-112", "masks-112-trained"),
        ("report", "report-trained"),
        ("_.-", "model"),
        ("x" * 200, "x" * 56),
        ("gr\udcfcn", "gr-n"),
    ],
)
def test_a_model_is_named_after_its_run_folder(tmp_path: Path, folder: str, name: str) -> None:
    """A run folder of a version without names, too: its settings have no name."""
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "settings.json").write_text('{"size": 112}')
    settings = with_name(read_settings(tmp_path / folder), tmp_path / folder)
    assert settings.name == name
    assert (settings.licence, settings.data_licence) == ("not stated", "not stated")


def test_the_folder_of_a_run_without_an_epoch_can_be_used_again(
    faces: Callable[..., Path], tmp_path: Path
) -> None:
    folder, out = faces(with_mask=12, without_mask=12), tmp_path / "run"
    for _ in range(2):
        with pytest.raises(WeightsError, match="--weights FILE"):
            run("--data", str(folder), "--out", str(out), *TINY, "--weights", str(tmp_path / "none.h5"))
    assert (out / "settings.json").exists()
    (out / "history.csv").touch()
    with pytest.raises(UsageError, match="has a run already"):
        run("--data", str(folder), "--out", str(out), *TINY)


def test_missing_weights_are_reported(tmp_path: Path) -> None:
    """The message names the alternatives."""
    with pytest.raises(WeightsError, match="--weights FILE"):
        backbone(32, 0.35, str(tmp_path / "none.h5"))
