"""Whatever is in the file, the loader answers with a configuration or with problems in the file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwatch.config.codec import dec_hook, enc_hook
from maskwatch.config.load import CheckedConfig, check_config
from maskwatch.config.schema import CameraConfig, Config, ZoneConfig
from maskwatch.errors import Problem
from tools.config_reference import example, keys

# One directory serves all examples of a property: each writes the file anew.
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
names = st.sampled_from(
    [
        key.name
        for section in (Config, CameraConfig, ZoneConfig)
        for key in keys(section)
    ]
)  # fmt: skip
words = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["${A}", "${", "file:/etc", "credential:x", "rtsp://u:p@h/s", "/a.mp4", "*x", "24:00"]
    ),
)
values = st.recursive(
    words,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(names, st.text(max_size=8)), inner, max_size=4),
    ),
    max_leaves=25,
)


def _examined(directory: Path, raw: bytes) -> CheckedConfig:
    path = directory / f"c{os.getpid()}.yaml"
    path.write_bytes(raw)
    return check_config(path, environ={"A": "canary-in-environment"})


def _check(found: CheckedConfig, raw: bytes) -> None:
    assert (found.config is None) == bool(found.problems)
    lines = raw.decode("utf-8", "replace").splitlines() or [""]
    for problem in found.problems + found.warnings:
        _is_inside(problem, lines)
        assert "canary" not in str(problem)
    if found.config is not None:
        wire = msgspec.json.encode(found.config, enc_hook=enc_hook)
        assert msgspec.json.decode(wire, type=Config, dec_hook=dec_hook) == found.config


def _is_inside(problem: Problem, lines: list[str]) -> None:
    # A missing end is found in the line after the last one; YAML counts more line ends than Python's
    # universal ones, so the column is only held to what is sure.
    assert 1 <= problem.line <= len(lines) + 1
    assert problem.column >= 1
    assert problem.message


@given(st.binary(max_size=200))
@relaxed
def test_any_bytes_end_in_a_configuration_or_problems(tmp_path: Path, raw: bytes) -> None:
    _check(_examined(tmp_path, raw), raw)


@given(st.text(st.sampled_from("abc:-[]{}#&*!|>'\"%@`?, \n\t0159~$<="), max_size=60))
@relaxed
def test_any_punctuation_of_yaml_ends_in_a_configuration_or_problems(tmp_path: Path, text: str) -> None:
    _check(_examined(tmp_path, text.encode()), text.encode())


@given(st.dictionaries(names, values, max_size=8))
@relaxed
def test_any_values_under_any_keys_end_in_a_configuration_or_problems(
    tmp_path: Path, content: dict[str, object]
) -> None:
    raw = yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")
    _check(_examined(tmp_path, raw), raw)


@pytest.mark.long
@given(st.data())
@relaxed
def test_the_example_with_one_changed_line_is_answered(tmp_path: Path, data: st.DataObject) -> None:
    lines = example().splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "indent", "value"]))
    if change == "drop":
        del lines[place]
    elif change == "double":
        lines.insert(place, lines[place])
    elif change == "indent":
        lines[place] = f" {lines[place]}"
    else:
        lines[place] = f"{lines[place].partition(':')[0]}: {data.draw(words)}"
    raw = "\n".join(lines).encode("utf-8", "replace")
    _check(_examined(tmp_path, raw), raw)


@pytest.mark.parametrize("line", range(0, 220, 7))
def test_a_file_cut_off_anywhere_is_answered(tmp_path: Path, line: int) -> None:
    raw = "\n".join(example().splitlines()[:line]).encode()
    _check(_examined(tmp_path, raw), raw)


@given(st.integers(0, 100), st.sampled_from(["nod", "cameras_", "mqt", "Log", "data-dir"]))
@relaxed
def test_an_unknown_key_is_reported_at_its_own_line(tmp_path: Path, blank: int, key: str) -> None:
    text = "\n" * blank + f"{key}: 1\ncameras: [{{name: a, url: rtsp://h/s}}]\n"
    (problem,) = _examined(tmp_path, text.encode()).problems
    assert (problem.line, problem.column, problem.key) == (blank + 1, 1, key)
    assert problem.hint.startswith("did you mean")
