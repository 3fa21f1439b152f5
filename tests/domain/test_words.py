"""The shared values are frozen and import nothing."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import numpy as np
import pytest

from maskwatch import domain
from maskwatch.domain import (
    Box,
    Change,
    ChangeKind,
    Detection,
    Frame,
    GateReason,
    MaskLogits,
    Point,
    Reading,
    Verdict,
    Violation,
)
from maskwatch.domain.frame import ImagePixels, Luma

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def _violation() -> Violation:
    return Violation(
        id=UUID(int=7),
        camera="door",
        zone="",
        zones=(),
        track=1,
        verdict=Verdict.NO_MASK,
        first_seen=AT,
        started=AT,
        ended=None,
        close_reason=None,
        confidence=0.99,
        evidence=7.0,
        readings=9,
        face_height=80.0,
        box=Box(0.1, 0.1, 0.2, 0.2),
        model="m",
    )


def test_public_data_classes_are_frozen_and_slotted() -> None:
    for name in domain.__all__:
        kind = getattr(domain, name)
        if dataclasses.is_dataclass(kind):
            assert kind.__dataclass_params__.frozen, name
            assert "__slots__" in vars(kind), name


def test_enum_values_are_lower_case_for_topics_and_labels() -> None:
    enums = [k for k in vars(domain).values() if isinstance(k, type) and issubclass(k, StrEnum)]
    assert len(enums) >= 6
    for kind in enums:
        assert all(member.value == member.name.lower() for member in kind), kind


def test_the_domain_imports_no_other_package_of_maskwatch() -> None:
    code = (
        "import sys, maskwatch.domain;"
        "print(sorted(m for m in sys.modules if m in ('numpy', 'cv2', 'av', 'msgspec')"
        " or m.startswith('maskwatch.') and not m.startswith('maskwatch.domain')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_alert_id_is_violation_id_and_change_number() -> None:
    change = Change(number=3, kind=ChangeKind.UPDATED, at=AT, violation=_violation())
    assert change.alert_id == f"{UUID(int=7)}:3"


def test_a_reading_has_either_logits_or_a_reason() -> None:
    logits = MaskLogits(mask=1.0, no_mask=-1.0)
    assert Reading(logits).gate is None
    assert Reading(None, GateReason.BLURRED).logits is None
    with pytest.raises(ValueError, match="exactly one"):
        Reading(logits, GateReason.BLURRED)
    with pytest.raises(ValueError, match="exactly one"):
        Reading(None)


def test_a_detection_scales_with_its_landmarks() -> None:
    points = (Point(1, 2), Point(3, 2), Point(2, 3), Point(1, 4), Point(3, 4))
    scaled = Detection(Box(0, 0, 4, 6), 0.9, points).scaled(2.5)
    assert scaled.box == Box(0, 0, 10, 15)
    assert scaled.landmarks[2] == Point(5, 7.5)
    assert scaled.score == 0.9


def test_a_frame_has_its_size_and_its_scale_to_the_full_picture() -> None:
    image, full = np.zeros((360, 640, 3), np.uint8), np.zeros((1080, 1920, 3), np.uint8)
    frame = Frame(0, AT, 0.0, Luma(image[:, :, 0]), ImagePixels(image), ImagePixels(full))
    assert frame.size == (640, 360)
    assert frame.scale == 3.0
    assert frame.full().shape == (1080, 1920, 3)
