"""A cached clip is found again as long as none of its inputs changes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from maskwatch.errors import DataError
from maskwatch.lab.evaluation.clip_cache import (
    ClipCache,
    PlannedClip,
    cached_path,
    canonical_code,
    ensure_clip,
    renderer_fingerprint,
)
from maskwatch.lab.evaluation.negatives import NegativePass
from maskwatch.lab.evaluation.portraits_choice import PortraitsChoice, choose_portraits
from maskwatch.lab.truth import truth_path


def test_each_input_of_a_clip_changes_its_name(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "portraits")
    names = {
        cache.path("pair", 0, (960, 540)),
        cache.path("pair", 1, (960, 540)),
        cache.path("poster", 0, (960, 540)),
        cache.path("pair", 0, (640, 360)),
        ClipCache(tmp_path, "other portraits").path("pair", 0, (960, 540)),
    }
    assert len(names) == 5
    assert ClipCache(tmp_path, "portraits").path("pair", 0, (960, 540)) in names


def test_a_library_update_changes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ClipCache(tmp_path, "").path("pair", 0)
    monkeypatch.setattr("maskwatch.lab.evaluation.clip_cache.version", lambda _library: "0.0")
    renderer_fingerprint.cache_clear()
    try:
        assert ClipCache(tmp_path, "").path("pair", 0) != before
    finally:
        renderer_fingerprint.cache_clear()


@pytest.mark.parametrize("module", ["truth", "evaluation.negatives", "scenes.masks"])
def test_the_fingerprint_covers_the_code_of_clips_and_ground_truth(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    hashed: list[Path] = []

    def canonical(path: Path) -> bytes:
        hashed.append(path)
        return b""

    monkeypatch.setattr("maskwatch.lab.evaluation.clip_cache.canonical_code", canonical)
    renderer_fingerprint.__wrapped__()
    assert Path(import_module(f"maskwatch.lab.{module}").__file__ or "") in hashed


def test_a_comment_does_not_change_the_code_and_a_number_does(tmp_path: Path) -> None:
    code, canonical = tmp_path / "a.py", []
    for text in ("x = 1\n", "# why\nx   =   1\n", "x = 2\n"):
        code.write_text(text)
        canonical.append(canonical_code(code))
    assert canonical[0] == canonical[1] != canonical[2]


def test_a_clip_without_its_truth_is_incomplete_and_is_made_again(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "")
    footage = tmp_path / "hall.mp4"
    ensure_clip(PlannedClip("empty", 0, NegativePass(None, 0, 1.0)), footage, PortraitsChoice().heads())
    planned = PlannedClip("quiet", 3, NegativePass(footage, 3, 1.0))
    clip = cached_path(planned, cache)
    clip.write_bytes(b"truncated while it was written")
    assert not cache.is_complete(clip)
    first = ensure_clip(planned, clip, ())
    assert cache.is_complete(clip)
    data = clip.read_bytes()
    assert ensure_clip(planned, clip, ()) == first
    assert clip.read_bytes() == data


def test_other_footage_of_the_same_name_is_another_clip(tmp_path: Path) -> None:
    cache, footage = ClipCache(tmp_path, ""), tmp_path / "hall.mp4"
    paths = set()
    for content in (b"one", b"two"):
        footage.write_bytes(content)
        paths.add(cached_path(PlannedClip("quiet", 0, NegativePass(footage, 0, 1.0)), cache))
    assert len(paths) == 2


def test_the_portraits_fingerprint_depends_on_files_and_not_on_their_folder(tmp_path: Path) -> None:
    fingerprints = []
    for folder, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.jpg").write_bytes(content)
        fingerprints.append(PortraitsChoice(tmp_path / folder).fingerprint())
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_a_listed_portrait_that_is_missing_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("# chosen\nmissing.jpg\n")
    with pytest.raises(DataError, match=r"missing\.jpg"):
        choose_portraits(tmp_path, listed)


def test_a_clip_and_its_truth_are_in_one_folder(tmp_path: Path) -> None:
    clip = ClipCache(tmp_path / "new", "").path("pair", 0)
    assert clip.parent.is_dir()
    assert truth_path(clip).parent == clip.parent
