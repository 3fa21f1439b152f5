"""Near-duplicates are found and kept together."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.lab.training.groups import cut_from, fingerprint, near_any, near_groups, split_groups


def photo(seed: int) -> np.ndarray:
    """A smooth picture unlike any other."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), np.uint8)
    return cv2.resize(small, (96, 96), interpolation=cv2.INTER_CUBIC)


def test_copies_are_found_and_other_pictures_are_not() -> None:
    """Downscaled, compressed, brightened and mirrored copies are the same photograph."""
    image = photo(0)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    copies = [
        cv2.resize(image, (40, 40), interpolation=cv2.INTER_AREA),
        cv2.imdecode(data, cv2.IMREAD_COLOR),
        cv2.convertScaleAbs(image, alpha=0.8, beta=20),
        image[:, ::-1],
    ]
    hits = near_any([fingerprint(c) for c in [*copies, photo(1), photo(2)]], [fingerprint(image)])
    assert hits.tolist() == [True] * 4 + [False] * 2


def test_groups_join_pictures_by_name_and_by_hash() -> None:
    """Faces of one photograph, and copies of it elsewhere, get one number."""
    looks = [fingerprint(photo(i)) for i in (0, 0, 1, 2)]
    groups = near_groups(looks, [("a",), ("b",), ("c",), ("c",)])
    assert groups[0] == groups[1]
    assert groups[2] == groups[3] != groups[0]


def test_each_picture_of_a_name_is_compared_by_its_hash() -> None:
    """A copy of the second crop of a photograph belongs to its group as well as one of the first."""
    looks = [fingerprint(photo(i)) for i in (0, 1, 1, 2)]
    groups = near_groups(looks, [("a",), ("a",), ("b",), ("c",)])
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_a_picture_of_two_names_joins_them() -> None:
    """A crop has the name of its original and that of the boxed photograph."""
    looks = [fingerprint(photo(i)) for i in range(3)]
    groups = near_groups(looks, [("scene",), ("original",), ("original", "scene")])
    assert len(set(groups.tolist())) == 1


def test_a_crop_names_the_photograph_whose_path_it_shares() -> None:
    """Suffixes and leading folders do not matter."""
    scenes = ["hall/images/7.jpg", "hall/images/8.jpg", "yard/images/7.jpg"]

    def meant(original: str) -> set[str]:
        return set(cut_from([original], scenes)[original])

    assert meant("web/set/images/8.png") == {"hall/images/8.jpg"}
    assert meant("yard/images/7.png") == {"yard/images/7.jpg"}
    assert meant("images/7.png") == {"hall/images/7.jpg", "yard/images/7.jpg"}, "ambiguous"
    assert meant(r"C:\web\images\8.PNG") == {"hall/images/8.jpg"}
    assert meant("8") == {"hall/images/8.jpg"}
    assert meant("others/8.png") == set()
    assert meant("hall/images/8.extra.png") == set()


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), max_size=5),
    st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=4).map("/".join), max_size=5),
)
def test_a_crop_names_the_scenes_with_the_longest_common_path(
    originals: list[str], scenes: list[str]
) -> None:
    """Paths agree from the end, up to the length of the shorter one."""
    for original, meant in cut_from(originals, scenes).items():
        alike = {scene: agreeing(original.split("/"), scene.split("/")) for scene in scenes}
        could = {s: n for s, n in alike.items() if n >= min(original.count("/") + 1, s.count("/"))}
        assert set(meant) == {scene for scene, n in could.items() if n == max(could.values())}


def agreeing(one: list[str], other: list[str]) -> int:
    """Return how many parts two paths have in common at the end."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def test_without_other_pictures_there_are_no_leaks() -> None:
    """Without a test split nothing leaks."""
    assert near_any([fingerprint(photo(0))], []).tolist() == [False]
    assert near_groups([], []).tolist() == []


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.floats(0.05, 0.6), st.integers(0, 9))
def test_a_split_never_divides_a_group(groups: list[int], share: float, seed: int) -> None:
    """The chosen part is at most the share, and reproducible."""
    numbers = np.array(groups, np.int64)
    chosen = split_groups(numbers, share, seed)
    assert not set(numbers[chosen]) & set(numbers[~chosen])
    assert chosen.sum() <= share * len(numbers)
    assert (chosen == split_groups(numbers, share, seed)).all()
