"""A cached clip is found again exactly as long as nothing that it was made from has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.lab.evaluation.clip_cache import ClipCache, meaning_of, renderer_fingerprint
from maskwatch.lab.evaluation.footage import Run, made, place_of
from maskwatch.lab.evaluation.negatives import QuietPass
from maskwatch.lab.evaluation.portraits_choice import PortraitsChoice, choose_portraits
from maskwatch.lab.truth import truth_path


def test_each_ingredient_of_a_clip_makes_another_name(tmp_path: Path) -> None:
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


def test_other_code_makes_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ClipCache(tmp_path, "").path("pair", 0)
    monkeypatch.setattr("maskwatch.lab.evaluation.clip_cache.version", lambda _library: "0.0")
    renderer_fingerprint.cache_clear()
    try:
        assert ClipCache(tmp_path, "").path("pair", 0) != before
    finally:
        renderer_fingerprint.cache_clear()


def test_a_comment_changes_nothing_and_a_number_does(tmp_path: Path) -> None:
    code, said = tmp_path / "a.py", []
    for text in ("x = 1\n", "# why\nx   =   1\n", "x = 2\n"):
        code.write_text(text)
        said.append(meaning_of(code))
    assert said[0] == said[1] != said[2]


def test_a_clip_without_its_truth_is_not_whole_and_is_made_again(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "")
    footage = tmp_path / "hall.mp4"
    made(Run("empty", 0, QuietPass(None, 0, 1.0)), footage, PortraitsChoice().heads())
    run = Run("quiet", 3, QuietPass(footage, 3, 1.0))
    clip = place_of(run, cache)
    clip.write_bytes(b"cut off while it was written")
    assert not cache.holds(clip)
    first = made(run, clip, ())
    assert cache.holds(clip)
    data = clip.read_bytes()
    assert made(run, clip, ()) == first
    assert clip.read_bytes() == data


def test_other_footage_of_the_same_name_is_another_clip(tmp_path: Path) -> None:
    cache, footage = ClipCache(tmp_path, ""), tmp_path / "hall.mp4"
    places = set()
    for content in (b"one", b"two"):
        footage.write_bytes(content)
        places.add(place_of(Run("quiet", 0, QuietPass(footage, 0, 1.0)), cache))
    assert len(places) == 2


def test_the_portraits_print_changes_with_a_file_and_not_with_its_folder(tmp_path: Path) -> None:
    prints = []
    for folder, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.jpg").write_bytes(content)
        prints.append(PortraitsChoice(tmp_path / folder).fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_a_listed_portrait_that_is_not_there_is_named(tmp_path: Path) -> None:
    from maskwatch.errors import DataError

    listed = tmp_path / "list.txt"
    listed.write_text("# chosen\nnobody.jpg\n")
    with pytest.raises(DataError, match=r"nobody\.jpg"):
        choose_portraits(tmp_path, listed)


def test_a_clip_and_its_truth_lie_side_by_side(tmp_path: Path) -> None:
    clip = ClipCache(tmp_path / "new", "").path("pair", 0)
    assert clip.parent.is_dir()
    assert truth_path(clip).parent == clip.parent
