"""`maskwatch probe` shows what a camera sends, or what is wrong with it, and never its password."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from maskwatch.cli.probe import probe
from maskwatch.errors import SourceError, UsageError
from maskwatch.lab.rtsp import RtspServer

ClipOf = Callable[..., Path]

CANARY = "CANARY-4711"


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer(users={"ann": CANARY}) as server:
        yield server


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(probe, [*arguments, "--timeout", "2"])
    assert CANARY not in result.output
    assert CANARY not in repr(result.exception)
    return result


def test_a_camera_is_described_in_text(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(codec="hevc"))
    result = run(server.url("hall"), "--seconds", "1", "--no-faces")
    assert result.exit_code == 0, result.output
    lines = dict(re.findall(r"^  (\w[\w ]*?) {2,}(.*)$", result.output, re.MULTILINE))
    assert lines["codec"] == "hevc"
    assert lines["size"] == "320 x 240"
    assert lines["transport"] == "tcp"
    assert "25.0 declared" in lines["rate"]
    assert float(lines["rate"].split()[0]) == pytest.approx(25, abs=10)
    assert re.fullmatch(r"after \d\.\d\d s", lines["first picture"])
    assert lines["damaged"].startswith("0 of ")
    assert "faces" not in lines


def test_a_file_that_ends_while_it_is_watched_is_described(clip_of: ClipOf) -> None:
    result = run(str(clip_of(frames=20)), "--seconds", "60", "--no-faces")
    assert result.exit_code == 0, result.output
    assert re.search(r"damaged +0 of 20", result.output)


def test_a_camera_is_described_as_json_over_udp(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    url = server.url("hall")
    result = run(url, "--seconds", "0.5", "--no-faces", "--transport", "udp", "--json")
    report = json.loads(result.stdout)
    assert report["address"] == f"rtsp://***@127.0.0.1:{server.port}/hall"
    assert (report["codec"], report["size"], report["transport"]) == ("h264", [320, 240], "udp")
    assert report["decoded"] > 0
    assert report["faces"] is None
    assert not report["blind"]


def test_faces_are_counted_with_their_height(tmp_path: Path) -> None:
    portrait = pytest.importorskip("skimage.data", reason="the extra `demo`").astronaut()
    path = tmp_path / "portrait.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (512, 512))
    for _ in range(20):
        writer.write(cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR))
    writer.release()
    result = run(str(path), "--seconds", "0.6", "--json")
    report = json.loads(result.stdout)
    assert report["faces"] == 1
    assert 80 < report["face_heights"][0] < 200


def test_a_black_picture_is_a_warning(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(frames=10, black=True))
    result = run(server.url("hall"), "--seconds", "0.5", "--no-faces")
    assert "warning        the picture is black" in result.output


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("status=401", "unauthorized", "user name or password is wrong or missing"),
        ("status=404", "not_found", "there is no such stream"),
        ("silent", "silent", "arrived within|no answer within"),
        ("garbage", "garbage", "does not speak RTSP"),
        ("no_video", "no_video", "has no video track"),
    ],
)
def test_a_failing_camera_is_explained_with_exit_code_8(
    server: RtspServer, clip_of: ClipOf, fault: str, reason: str, words: str
) -> None:
    server.add("hall", clip_of()).apply(fault)
    result = run(server.url("hall"), "--no-faces", "--json")
    assert isinstance(result.exception, SourceError)
    assert result.exception.exit_code == 8
    failure = json.loads(result.stdout)
    assert failure["error"] == reason
    assert re.search(words, failure["message"])


def test_a_failing_command_shows_one_line_and_no_password(server: RtspServer) -> None:
    server.offline()
    command = [sys.executable, "-m", "maskwatch", "probe", server.url("hall")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 8
    assert done.stdout == ""
    assert done.stderr == (
        f"maskwatch: rtsp://***@127.0.0.1:{server.port}/hall: "
        "connection refused; check address and port\n"
    )


def test_a_configured_camera_is_probed_by_its_name(
    server: RtspServer, clip_of: ClipOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("hall", clip_of())
    monkeypatch.setenv("HALL_PASSWORD", CANARY)
    config = tmp_path / "config.yaml"
    config.write_text(
        "cameras:\n"
        "  - name: hall\n"
        f"    url: rtsp://127.0.0.1:{server.port}/hall\n"
        "    username: ann\n"
        "    password: ${HALL_PASSWORD}\n"
    )
    found = run("--config", str(config), "--camera", "hall", "--seconds", "0.5", "--no-faces")
    assert found.exit_code == 0, found.output
    missing = run("--config", str(config), "--camera", "door")
    assert isinstance(missing.exception, UsageError)
    assert "has no camera 'door', but: hall" in str(missing.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give an address, or --camera with --config"),
        (["rtsp://x/y", "--camera", "hall"], "give an address, or --camera with --config"),
    ],
)
def test_a_command_with_no_camera_or_two_is_rejected(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UsageError)
    assert words in str(result.exception)


NAMES = [
    b"12:30:05.mp4",
    b"file:a.mp4",
    b"rtsp:door.mp4",
    b"K\xfcche.mp4",
    b"a%03d.mp4",
    b"-x?y#z.mp4",
    b"pipe:0",
    b"two\nlines\t.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_probed_and_replayed(
    clip_of: Callable[..., Path], tmp_path: Path, name: bytes
) -> None:
    """FFmpeg takes the text before a colon for a protocol, and JSON holds no other bytes than UTF-8."""
    path = tmp_path / os.fsdecode(name)
    shutil.copyfile(clip_of(), path)
    for arguments in (["probe", "--no-faces", "--json", "--seconds", "0.5"], ["replay", "--json"]):
        command = [sys.executable, "-m", "maskwatch", *arguments, "--", path.name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        done.stdout.decode()


def test_a_name_that_steers_a_terminal_is_printed_escaped(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\u202e.mp4"
    path.write_bytes(b"no video")
    command = [sys.executable, "-m", "maskwatch", "probe", path.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == SourceError.exit_code
    assert done.stderr.startswith(rb"maskwatch: \x1b[2J\u202e.mp4: ")


def test_a_camera_that_offers_only_basic_needs_an_option(clip_of: ClipOf) -> None:
    with RtspServer(users={"ann": CANARY}, auth="basic") as server:
        server.add("hall", clip_of())
        refused = run(server.url("hall"), "--seconds", "0.5", "--no-faces")
        assert isinstance(refused.exception, SourceError)
        assert "--allow-basic" in str(refused.exception)
        allowed = run(server.url("hall"), "--seconds", "0.5", "--no-faces", "--allow-basic")
        assert allowed.exit_code == 0, allowed.output
