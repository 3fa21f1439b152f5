"""The picture size of the face detector's file is freed without the package `onnx`."""

from __future__ import annotations

import onnx
import pytest

from maskwatch.vision.onnx_shapes import free_picture_size
from maskwatch.vision.weights import yunet_bytes


def test_the_package_onnx_reads_the_result_as_the_same_network_with_free_sides() -> None:
    before, after = (
        onnx.load_from_string(data) for data in (yunet_bytes(), free_picture_size(yunet_bytes()))
    )
    sides = after.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value or side.dim_param for side in sides] == [1, 3, "H", "W"]
    assert not any(output.type.tensor_type.HasField("shape") for output in after.graph.output)
    assert len(after.graph.value_info) == 0
    assert list(after.graph.node) == list(before.graph.node)
    assert list(after.graph.initializer) == list(before.graph.initializer)
    assert list(after.opset_import) == list(before.opset_import)


def test_doing_it_twice_changes_nothing_more() -> None:
    once = free_picture_size(yunet_bytes())
    assert free_picture_size(once) == once


@pytest.mark.parametrize("cut", [1, 10, 1000, 200_000])
def test_a_file_that_is_cut_short_is_refused_not_misread(cut: int) -> None:
    with pytest.raises(ValueError, match=r"cut short|past the end"):
        free_picture_size(yunet_bytes()[:-cut])


def test_bytes_that_are_no_protocol_buffers_are_refused() -> None:
    with pytest.raises(ValueError, match="wire type"):
        free_picture_size(b"\x0b" * 40)
