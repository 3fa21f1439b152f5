"""Photographs are evaluated; figures go into text, JSON and the manifest."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click.testing
import msgspec
import pytest

from maskwatch.cli.evaluate import evaluate
from maskwatch.errors import DataError, ModelError, UsageError
from maskwatch.lab.training import evaluation
from maskwatch.lab.training.dataset import load_crops, load_scenes
from maskwatch.lab.training.evaluation import EvaluationOptions, evaluate_faces
from maskwatch.lab.training.slices import found, made
from maskwatch.vision.manifest import LABELS, default_manifest, read_manifest
from maskwatch.vision.masks import MaskClassifier
from tests.fakes.training_data import write_csv


@pytest.fixture(scope="module")
def model() -> MaskClassifier:
    """The shipped model; its accuracy on generated pictures does not matter."""
    return MaskClassifier()


def run(*arguments: str) -> str:
    """Run the verb; errors are raised unchanged."""
    result = click.testing.CliRunner().invoke(
        evaluate, list(arguments), catch_exceptions=False, standalone_mode=False
    )
    return result.output


def test_boxed_faces_are_measured_by_height(model: MaskClassifier, hall: Path) -> None:
    """Each band has the faces of its height; every face is in `all`."""
    rows = {
        r.name: r for r in evaluate_faces(model, load_scenes(hall).photos, EvaluationOptions(rounds=20))
    }
    assert rows["all faces"].faces == 4
    assert rows["all faces"].images == 2
    assert rows["24 px and more"].faces == 4
    assert rows["16-32 px"].faces == 2
    assert "<16 px" not in rows
    assert sum(map(sum, rows["all faces"].confusion)) == 4


def test_crops_are_measured_by_source_only(model: MaskClassifier, faces: Callable[..., Path]) -> None:
    """A set of two sources has figures for each."""
    folder = faces(with_mask=3, without_mask=2, mask_worn_incorrectly=2)
    write_csv(folder / "manifest.csv", [{"path": "with_mask/000.png", "source": "web"}])
    rows = {
        r.name: r for r in evaluate_faces(model, load_crops(folder).photos, EvaluationOptions(rounds=0))
    }
    assert rows["source web"].faces == 1
    assert rows["source faces"].faces == 4
    assert rows["all faces"].incorrect is not None
    assert rows["all faces"].incorrect[2] == 2
    assert "24 px and more" not in rows


def test_slices_are_found_and_made(hall: Path) -> None:
    """Grey pictures are recognized; night is made from every face."""
    photos = load_scenes(hall).photos
    assert set(found(photos)) == {"infra-red or grey", "dark", "profile"}
    slices = made(photos)
    assert len(slices["night (made)"]) == len(photos)
    grey = slices["infra-red (made)"]
    assert found(grey)["infra-red or grey"].all()
    assert [p.label for p in grey] == [p.label for p in photos]


def test_split_and_sources_choose_the_photos(faces: Callable[..., Path]) -> None:
    """Excluded photos are not evaluated, and no remaining photo is an error."""
    folder = faces(with_mask=2, without_mask=2)
    write_csv(folder / "split.csv", [{"path": "with_mask/001.png", "split": "test"}])
    photos = load_crops(folder).photos
    assert [p.name for p in evaluation.chosen(photos, "test", [])] == ["faces/with_mask/001.png"]
    assert len(evaluation.chosen(photos, "all", ["faces"])) == 4
    with pytest.raises(DataError, match="no such source; there are faces"):
        evaluation.chosen(photos, "all", ["web"])
    leaks = write_csv(folder / "leaks.csv", [{"test_path": "with_mask/001.png", "train_path": "x"}])
    with pytest.raises(DataError, match="no picture is left to evaluate: all 1 are on the list"):
        evaluation.without_leaks(evaluation.chosen(photos, "test", []), leaks)


@pytest.mark.parametrize(
    ("here", "data", "leaks"),
    [
        ("faces", ".", "leaks.csv"),
        ("faces", "../faces", "leaks.csv"),
        ("faces/with_mask", "..", "../leaks.csv"),
        (".", "link", "faces/leaks.csv"),
        (".", "faces", "link/leaks.csv"),
    ],
)
def test_leaks_are_excluded_from_any_working_directory(
    faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, here: str, data: str, leaks: str
) -> None:
    """The same pictures are excluded from within the folder, from outside, and through a link."""
    folder = faces(with_mask=2, without_mask=1)
    rows = [{"test_path": "with_mask/001.png", "train_path": "without_mask/000.png"}]
    write_csv(folder / "leaks.csv", rows)
    (folder.parent / "link").symlink_to("faces")
    monkeypatch.chdir(folder.parent / here)
    left = evaluation.without_leaks(load_crops(Path(data)).photos, Path(leaks))
    assert [Path(p.file).name for p in left] == ["000.png", "000.png"]


def test_the_command_writes_text_json_and_pictures(faces: Callable[..., Path], tmp_path: Path) -> None:
    """Recording twice keeps one set of figures in the manifest."""
    source = default_manifest()
    manifest = tmp_path / source.name
    shutil.copy(source, manifest)
    shutil.copy(source.parent / read_manifest(source).file, tmp_path)
    folder = faces(with_mask=2, without_mask=2)
    (folder / "with_mask/broken.jpg").write_bytes(b"x")
    other = tmp_path / read_manifest(source).file
    arguments = [
        "--model", str(manifest), "--data", str(folder), "--rounds", "10",
        "--report", str(tmp_path / "e.json"), "--out", str(tmp_path / "plots"),
        "--record", "made faces", "--against", str(other),
    ]  # fmt: skip
    for _ in range(2):
        text = run(*arguments)
    assert "balanced" in text
    assert "broken.jpg" in text
    assert "predictions differ on 0" in text
    written = json.loads((tmp_path / "e.json").read_text())
    assert written["sets"][0]["faces"] == 4
    assert written["comparison"]["worse_images"] == 0
    assert (tmp_path / "plots/confusion.png").stat().st_size > 1000
    assert (tmp_path / "plots/reliability.png").stat().st_size > 1000
    mine = [f for f in read_manifest(manifest).metrics if f.on == "made faces"]
    assert [f.name for f in mine] == ["accuracy", "balanced accuracy", "calibration error"]
    assert mine[0].count == 4


def test_scenes_are_evaluated_with_detector_and_gate(hall: Path) -> None:
    """Detector recall, precision and recall of no mask are in the text."""
    text = run("--scenes", str(hall), "--rounds", "5")
    assert "whole path over 2 scenes" in text
    assert "no mask, 24 px and more: precision" in text


def test_undefined_figures_are_not_recorded(faces: Callable[..., Path], tmp_path: Path) -> None:
    """A manifest with nan could not be read."""
    source = default_manifest()
    manifest = tmp_path / source.name
    shutil.copy(source, manifest)
    shutil.copy(source.parent / read_manifest(source).file, tmp_path)
    folder = faces(mask_worn_incorrectly=2)
    run("--model", str(manifest), "--data", str(folder), "--rounds", "5", "--record", "only these")
    assert all(math.isfinite(figure.value) for figure in read_manifest(manifest).metrics)


@pytest.mark.parametrize(
    "options", [("--split", "test"), ("--source", "web"), ("--leaks", "l.csv"), ("--split", "all")]
)
def test_options_of_crops_are_refused_with_photographs(hall: Path, options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"{options[0]}: apply to --data only"):
        run("--scenes", str(hall), *options)


def test_options_of_photographs_are_refused_with_crops(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--score, --smallest-face: apply to --scenes only"):
        run("--data", str(tmp_path), "--score", "0.5", "--smallest-face", "20")


def test_a_wrong_file_to_compare_is_refused_before_measuring(
    faces: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "evaluate_faces", pytest.fail)
    with pytest.raises(ModelError, match=r"none\.tflite"):
        run("--data", str(faces(with_mask=1)), "--against", str(tmp_path / "none.tflite"))


def test_a_model_with_other_classes_is_not_compared() -> None:
    model = MaskClassifier()
    two = msgspec.structs.replace(model.manifest, labels=LABELS[:2])
    monkey = SimpleNamespace(manifest=two, id="two")
    with pytest.raises(DataError, match=r"output is \(1, 3\), two has \(1, 2\)"):
        evaluation.load_other(monkey, model.path.parent / model.manifest.file)  # type: ignore[arg-type]  # only what it looks at


def test_either_data_or_scenes_is_required(hall: Path) -> None:
    """Neither or both is an error."""
    with pytest.raises(UsageError, match="give either --data"):
        run()
    with pytest.raises(UsageError, match="give either --data"):
        run("--data", str(hall.parent), "--scenes", str(hall))
