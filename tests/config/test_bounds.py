"""`check` blocks on no kind of file, and its time grows with the file's size only."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maskwatch.config.load import check_config

CAMERA = "{name: c, url: 'rtsp://h/1'}"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.fixture(params=[_pipe, _socket, _device, _huge])
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A path that is no regular file, or one of a terabyte."""
    make: Callable[[Path], None] = request.param
    path = tmp_path / "unfit"
    make(path)
    yield path
    path.unlink()


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return [str(problem) for problem in check_config(path, environ=environ).problems]


def test_a_configuration_that_is_no_file_of_fitting_size_is_refused(unfit: Path) -> None:
    (problem,) = check_config(unfit).problems
    assert "Not a regular file" in problem.message or "larger than 1024 KiB" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "cameras: [{name: c, url: 'file:FILE'}]",
        "cameras: [{name: c, url: 'rtsp://h/1', username: u, password: 'file:FILE'}]",
        "cameras: [{name: c, url: 'rtsp://h/1', username: u, password: 'credential:unfit'}]",
        f"cameras: [{CAMERA}]\nmqtt: {{tls: true, ca_file: FILE}}",
        f"cameras: [{CAMERA}]\nmqtt: {{tls: true, client_cert: FILE, client_key: FILE}}",
        "cameras: [{name: c, url: 'rtsps://h/1', ca_file: FILE}]",
        f"cameras: [{CAMERA}]\nlinks: {{enabled: true, key: 'file:FILE'}}",
        f"cameras: [{CAMERA}]\npeople: [{{name: p, webhook: 'http://h/', key: 'file:FILE'}}]",
        f"cameras: [{CAMERA}]\nmodel: FILE",
        f"cameras: [{CAMERA}]\nface_weights: FILE",
    ],
)
def test_a_named_file_of_another_kind_is_one_problem_and_never_waited_for(
    tmp_path: Path, unfit: Path, text: str
) -> None:
    found = problems(tmp_path, text.replace("FILE", str(unfit)), CREDENTIALS_DIRECTORY=str(unfit.parent))
    assert found
    assert all("unfit" in each for each in found)


def cameras(keys: str, count: int) -> str:
    """Return `count` cameras; in `keys`, {i} is the number of each."""
    rows = (f"- {{{keys.replace('{i}', str(i))}}}\n" for i in range(count))
    return "cameras:\n" + "".join(rows)


URL = "url: 'rtsp://h/1'"
FILES: dict[str, Callable[[int], str]] = {
    "one name": lambda count: cameras(f"name: c, {URL}", count),
    "one error": lambda count: cameras("name: c{i}, url: 'http://h/1'", count),
    "unknown keys": lambda count: cameras(f"name: c{{i}}, {URL}, key{{i}}: 1", count),
    "time zones": lambda count: cameras(f"name: c{{i}}, {URL}, time_zone: Europe/{{i}}", count),
    "passwords and errors": lambda count: cameras(
        "name: c{i}, url: 'rtsp://u:secret{i}@h/1', rate: x", count
    ),
    "variables and errors": lambda count: cameras(
        f"name: '${{V{{i}}:-value{{i}}}}', {URL}, rate: x", count
    ),
    "unknown cameras": lambda count: (
        cameras(f"name: camera-number-{{i}}, {URL}", count)
        + f"people: [{{name: p, cameras: [{', '.join(f'kamera-number-{i}' for i in range(count))}]}}]\n"
    ),
    "certificates": lambda count: cameras(f"name: c{{i}}, {URL}, ca_file: {__file__}", count),
    "channels": lambda count: (
        cameras(f"name: c{{i}}, {URL}", count)
        + "people:\n"
        + "".join(f"- {{name: p{i}, cameras: [c1]}}\n" for i in range(count))
    ),
    "references in an address": lambda _: f"cameras: [{{name: c, url: 'rtsp://{'${A}' * 40}/'}}]",
    "long address": lambda count: f"cameras: [{{name: c, url: 'rtsp://h/{'a.b://' * count}'}}]",
    "long token": lambda count: (
        f"cameras: [{CAMERA}]\npeople: [{{name: p, url: 'json://{'a' * count * 20}'}}]"
    ),
    "corners": lambda count: (
        "cameras: [{name: c, url: 'rtsp://h/1', zones: [{name: z, polygon: ["
        + ", ".join(f"[0.{i:05d}, {i % 2}]" for i in range(1, count * 5))
        + "]}]}]"
    ),
}


def _seconds(tmp_path: Path, text: str) -> float:
    """Return the processor time of a check; other work on the machine does not count."""
    began = time.process_time()
    problems(tmp_path, text, A="b")
    return time.process_time() - began


@pytest.mark.parametrize("kind", FILES)
def test_a_thousand_problems_are_found_within_seconds(tmp_path: Path, kind: str) -> None:
    assert _seconds(tmp_path, FILES[kind](1000)) < 8


@pytest.mark.long
@pytest.mark.sweep
@pytest.mark.parametrize("kind", FILES)
def test_the_largest_files_are_checked_within_a_minute(tmp_path: Path, kind: str) -> None:
    assert _seconds(tmp_path, FILES[kind](12_000)) < 60


def test_a_value_of_many_thousand_characters_is_refused_with_its_length(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"cameras: [{CAMERA}]\nnode: {'x' * 9000}\n")
    assert "node: expected at most 8192 characters, got 9000" in problem


def test_a_polygon_of_too_many_corners_is_refused_with_their_number(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, FILES["corners"](100))
    assert "zones[0].polygon: expected at most 256 entries, got 499" in problem
