"""The parts of a scene: the camera's geometry, heads, masks, bodies, rooms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.errors import DataError, UsageError
from maskwatch.lab.arrays import smooth_noise, smoothstep
from maskwatch.lab.scenes import Head, default_heads, described, heads_from, scene_named
from maskwatch.lab.scenes.body import CANVAS, PHASES, Body, Garment, Pose, random_outfit
from maskwatch.lab.scenes.figure import level_for, place
from maskwatch.lab.scenes.masks import MaskStyle, draw_mask, random_style
from maskwatch.lab.scenes.panels import draw_shelf
from maskwatch.lab.scenes.portraits import EYES, IPD, back_of, turned
from maskwatch.lab.scenes.room import Block, Panel, Place, Side, View, build
from maskwatch.lab.truth import Wear


@pytest.fixture(scope="module")
def heads() -> tuple[Head, ...]:
    return default_heads()


# ---------------------------------------------------------------- camera


@given(
    x=st.floats(-3, 3),
    z=st.floats(1.5, 12),
    tilt=st.floats(0, 30),
    field=st.floats(30, 90),
)
def test_a_ray_through_a_projected_point_meets_the_point(
    x: float, z: float, tilt: float, field: float
) -> None:
    """Projection and rays are inverse to each other, so that people stand on the floor."""
    view = View(640, 360, mount=2.3, tilt=tilt, field=field)
    u, v, _ = view.project(x, 0.0, z)
    column, row = round(u - 0.5), round(v - 0.5)
    if not (0 <= column < 640 and 0 <= row < 360):
        return
    across, down, ahead = (float(part[row, column]) for part in view.rays())
    if down > -0.02:
        return
    reach = -view.mount / down
    pixel = reach / view.focal  # metres that one pixel covers there
    assert abs(across * reach - x) <= pixel
    assert abs(ahead * reach - z) <= pixel * max(1.0, reach / view.mount) * 1.5


@given(near=st.floats(1, 4), step=st.floats(0.1, 4))
def test_a_nearer_point_is_larger_and_lower(near: float, step: float) -> None:
    view = View(1280, 720)
    _, low, large = view.project(0.3, 0.0, near)
    _, high, small = view.project(0.3, 0.0, near + step)
    assert large > small
    assert low > high


# ---------------------------------------------------------------- heads


def test_the_packaged_portraits_are_mapped_to_the_canvas(heads: tuple[Head, ...]) -> None:
    assert len(heads) == 2
    for head in heads:
        eyes = head.landmarks[:2]
        assert np.allclose(eyes.mean(axis=0), EYES, atol=1.5)
        assert abs(float(np.linalg.norm(eyes[1] - eyes[0])) - IPD) < 8
        assert head.alpha[int(EYES[1]), int(EYES[0])] == 1.0


def test_the_background_is_removed(heads: tuple[Head, ...]) -> None:
    for head in heads:
        assert head.alpha[:, :20].max() < 0.05
        assert head.alpha[-30:].max() < 0.05
        assert 0.15 < head.alpha.mean() < 0.6


def test_a_folder_of_portraits_gives_a_head_for_each_face(
    tmp_path: Path, heads: tuple[Head, ...]
) -> None:
    """An image without a face, and a file that is not an image, are skipped."""
    head = heads[0]
    alpha = head.alpha[..., None]
    portrait = (head.bgr * alpha + 150 * (1 - alpha)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "ann.png"), portrait)
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((300, 300, 3), 150, np.uint8))
    (tmp_path / "notes.jpg").write_text("no image")
    found = heads_from(tmp_path)
    assert [head.name for head in found] == ["ann"]


def test_a_folder_without_faces_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give a folder of portraits"):
        heads_from(tmp_path)


def test_a_head_turns_in_the_direction_of_yaw_and_pitch(heads: tuple[Head, ...]) -> None:
    """The marked nose moves right for a positive yaw and down for a positive pitch."""
    marked = np.zeros((*heads[0].alpha.shape, 3), np.uint8)
    nose = tuple(int(v) for v in heads[0].landmarks[2])
    cv2.circle(marked, nose, 6, (255, 255, 255), -1)

    def spot(yaw: float, pitch: float) -> tuple[float, float]:
        ys, xs = np.nonzero(turned(marked, 0, yaw, pitch)[..., 0] > 100)
        return float(xs.mean()), float(ys.mean())

    ahead = spot(0, 0)
    assert spot(20, 0)[0] > ahead[0] + 8
    assert spot(-20, 0)[0] < ahead[0] - 8
    assert spot(0, 10)[1] > ahead[1] + 4


def test_the_back_of_a_head_shows_no_face(heads: tuple[Head, ...]) -> None:
    back = back_of(heads[0])
    eyes = back[int(EYES[1]) - 8 : int(EYES[1]) + 8, 120:200].reshape(-1, 3)
    assert np.abs(eyes.mean(axis=0) - heads[0].hair).max() < 60


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("style", list(MaskStyle))
def test_every_style_covers_mouth_and_nose_and_leaves_the_eyes(
    heads: tuple[Head, ...], style: MaskStyle
) -> None:
    for head in heads:
        bgr, _ = draw_mask(head, style, Wear.MASKED, np.random.default_rng(1))
        change = np.abs(bgr.astype(int) - head.bgr).mean(axis=2)
        for mark in head.landmarks[2:]:
            x, y = (int(v) for v in mark)
            assert change[y - 5 : y + 5, x - 5 : x + 5].mean() > 12, mark
        for mark in head.landmarks[:2]:
            x, y = (int(v) for v in mark)
            assert change[y - 5 : y + 5, x - 5 : x + 5].max() < 3, mark


def _changed(head: Head, wear: Wear, mark: np.ndarray) -> float:
    bgr, _ = draw_mask(head, MaskStyle.SURGICAL_BLUE, wear, np.random.default_rng(1))
    x, y = (int(v) for v in mark)
    change = np.abs(bgr.astype(int) - head.bgr).mean(axis=2)
    return float(change[y - 4 : y + 4, x - 4 : x + 4].mean())


def test_a_mask_under_the_nose_bares_the_nose_and_on_the_chin_the_mouth_too(
    heads: tuple[Head, ...],
) -> None:
    for head in heads:
        nose, mouth = head.landmarks[2], head.landmarks[3:].mean(axis=0)
        assert _changed(head, Wear.MASKED, nose) > 12
        assert _changed(head, Wear.UNDER_NOSE, nose) < 4
        assert _changed(head, Wear.UNDER_NOSE, mouth) > 12
        assert _changed(head, Wear.ON_CHIN, mouth) < 4


def test_a_mask_is_shaded_and_not_a_flat_patch(heads: tuple[Head, ...]) -> None:
    bgr, _ = draw_mask(heads[0], MaskStyle.CLOTH_GREY, Wear.MASKED, np.random.default_rng(0))
    mouth = heads[0].landmarks[3:].mean(axis=0).astype(int)
    patch = bgr[mouth[1] - 20 : mouth[1] + 20, mouth[0] - 35 : mouth[0] + 35].mean(axis=2)
    assert patch.std() > 4


def test_the_same_random_state_draws_the_same_mask(heads: tuple[Head, ...]) -> None:
    one, two = (
        draw_mask(heads[1], MaskStyle.DOTTED, Wear.MASKED, np.random.default_rng(9))[0] for _ in range(2)
    )
    assert np.array_equal(one, two)


def test_surgical_blue_is_the_most_frequent_style_and_every_style_occurs() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_style(rng) for _ in range(800)]
    counts = {style: drawn.count(style) for style in MaskStyle}
    assert max(counts, key=lambda style: counts[style]) is MaskStyle.SURGICAL_BLUE
    assert min(counts.values()) > 5


# ---------------------------------------------------------------- bodies and sprites


@pytest.mark.parametrize("garment", list(Garment))
def test_a_body_walks_and_is_clothed(garment: Garment) -> None:
    rng = np.random.default_rng(3)
    outfit = replace(random_outfit(rng, (120.0, 150.0, 200.0), 1.7), garment=garment)
    body = Body(outfit)
    front, later = body.sprite(0), body.sprite(PHASES // 2)
    assert front.shape == (CANVAS[1], CANVAS[0], 4)
    assert not np.array_equal(front, later)
    assert (front[..., :3] <= front[..., 3:]).mean() > 0.999  # colours are premultiplied
    chest = front[120, CANVAS[0] // 2 - 40]
    assert chest[3] == 255


def test_raised_hands_have_a_separate_sprite() -> None:
    body = Body(random_outfit(np.random.default_rng(0), (120.0, 150.0, 200.0), 1.7))
    hands = body.sprite(0, Pose.HANDS)[..., 3] > 0
    assert 0.01 < hands.mean() < 0.2
    assert not hands[300:].any()


@given(scale=st.floats(0.02, 3))
def test_a_sprite_is_never_shrunk_by_more_than_half_in_one_step(scale: float) -> None:
    level = level_for(scale)
    assert 0 <= level <= 3
    assert scale * 2**level >= 0.55 or level == 3


def test_a_sprite_outside_the_picture_is_not_placed() -> None:
    sprite = np.full((20, 20, 4), 255, np.uint8)
    beyond = np.array([[1, 0, 700], [0, 1, 0]], np.float32)
    assert place(sprite, beyond, 0, (640, 360)) is None


def test_a_sprite_covers_the_picture_and_is_marked_in_the_owners() -> None:
    picture = np.full((80, 80, 3), 100, np.uint8)
    owners = np.zeros((20, 20), np.uint8)
    sprite = np.full((20, 20, 4), 255, np.uint8)
    placed = place(sprite, np.array([[1, 0, 30], [0, 1, 40]], np.float32), 0, (80, 80))
    assert placed is not None
    placed.blend_into(picture)
    placed.mark(owners, 7)
    assert picture[50, 40].tolist() == [255, 255, 255]
    assert picture[10, 10].tolist() == [100, 100, 100]
    assert owners[12, 10] == 7
    assert owners[2, 2] == 0


# ---------------------------------------------------------------- rooms


def test_a_room_is_lit_by_its_lamps() -> None:
    room = build(Place(), View(320, 180), np.random.default_rng(0))
    assert room.picture.std() > 15
    assert room.light_at(0.0, 3.6) > room.light_at(2.4, 3.6)


def test_a_block_covers_the_picture_up_to_its_height() -> None:
    view = View(320, 180)
    place_ = Place(blocks=(Block(0.0, 3.0, 1.0, 0.5, 1.0),))
    (layer,) = build(place_, view, np.random.default_rng(0)).layers
    u, v, _ = view.project(0.0, 0.5, 2.75)
    assert layer.matte[min(179, int(v)), int(u)] == 1.0
    u, v, _ = view.project(0.0, 1.8, 2.75)
    assert layer.matte[int(v), int(u)] == 0.0


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT, Side.BACK])
def test_a_panel_is_upright_and_not_mirrored(side: str) -> None:
    room = build(Place(), View(640, 360), np.random.default_rng(0))
    along = 0.5 if side == Side.BACK else 8.0
    upper_left, upper_right, lower_right, lower_left = room.corners(Panel(side, along, 1.5, 1, 1))
    assert upper_left[0] < upper_right[0]
    assert lower_left[0] < lower_right[0]
    assert upper_left[1] < lower_left[1]


def test_a_shelf_adds_clutter_only_within_its_panel() -> None:
    room = build(Place(depth=6.0), View(640, 360), np.random.default_rng(0))
    before = room.picture.copy()
    panel = Panel(Side.BACK, 0.0, 1.2, 2.0, 2.2)
    draw_shelf(room.picture, room, panel, np.random.default_rng(1))
    corners = room.corners(panel)
    (x1, y1), (x2, y2) = corners.min(axis=0).astype(int) + 3, corners.max(axis=0).astype(int) - 3
    shelf, wall = room.picture[y1:y2, x1:x2].astype(int), before[y1:y2, x1:x2].astype(int)
    assert shelf.std() > 3 * wall.std()
    assert np.array_equal(room.picture[:, : x1 - 20], before[:, : x1 - 20])


# ---------------------------------------------------------------- noise, steps, names


def test_noise_has_mean_zero_and_deviation_one() -> None:
    field = smooth_noise(np.random.default_rng(0), (200, 100), 8)
    assert field.shape == (100, 200)
    assert abs(float(field.mean())) < 1e-4
    assert abs(float(field.std()) - 1) < 1e-3


@given(st.floats(-2, 3))
def test_smoothstep_stays_between_zero_and_one(value: float) -> None:
    up = float(smoothstep(np.float32([value]), 0.0, 1.0)[0])
    down = float(smoothstep(np.float32([value]), 1.0, 0.0)[0])
    assert 0 <= up <= 1
    assert up == pytest.approx(1 - down, abs=1e-5)


def test_an_unknown_scene_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'crossing'"):
        scene_named("crosing")


def test_every_scene_is_described_in_one_line() -> None:
    lines = described()
    assert len(lines) >= 28
    assert all(line.endswith(".") and "\n" not in line for line in lines.values())
