"""A replay gives the same events on every run, idle or under load, and explains them."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from maskwatch.cli.replay import replay
from maskwatch.config.schema import CameraConfig, Config, FaceSearch
from maskwatch.domain import ChangeKind
from maskwatch.errors import ConfigError, SourceError, UsageError
from maskwatch.lab.scenes import default_heads, render, scene_named
from maskwatch.lab.truth import Truth, truth_path
from maskwatch.replay.replay import Replay, ReplayedChange, choose_camera, default_config
from maskwatch.secrets import SecretUrl
from maskwatch.vision.faces import FaceDetector


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person without and one with a mask side by side, with the truth beside the clip."""
    path = tmp_path_factory.mktemp("clips") / "pair.mp4"
    render(scene_named("pair", 0), path, size=(960, 540), fps=10.0, seed=0, faces=default_heads())
    return path


def _lines(clip: Path, search: FaceSearch = FaceSearch.WHOLE) -> list[bytes]:
    config = default_config(clip)
    camera = msgspec.structs.replace(config.cameras[0], face_search=search)
    run = Replay(clip, config, camera)
    return [msgspec.json.encode(change, order="deterministic") for change in run.changes()]


@pytest.fixture(scope="module")
def lines(clip: Path) -> list[bytes]:
    return _lines(clip)


def test_only_the_person_without_a_mask_is_reported_and_once(clip: Path, lines: list[bytes]) -> None:
    opened = _opened(lines)
    assert len(opened) == 1
    truth = Truth.load(truth_path(clip))
    frame = min(truth.frames, key=lambda frame: abs(frame.at - opened[0].moment))
    box = opened[0].box
    assert box is not None
    near = [p for p in frame.people if p.face and p.face[0] < box.centre.x < p.face[2]]
    assert [p.mask.value for p in near] == ["bare"]


def test_a_search_in_regions_reports_the_same_and_repeats_itself(clip: Path, lines: list[bytes]) -> None:
    runs = [_lines(clip, FaceSearch.REGIONS) for _ in range(2)]
    assert runs[0] == runs[1]
    whole, regions = (_opened(one) for one in (lines, runs[0]))
    assert len(regions) == len(whole) == 1
    assert abs(regions[0].moment - whole[0].moment) <= 0.4
    assert regions[0].box is not None
    assert whole[0].box is not None
    assert abs(regions[0].box.centre.x - whole[0].box.centre.x) < whole[0].box.width


def test_pictures_of_a_search_in_regions_show_no_face(clip: Path) -> None:
    config = default_config(clip)
    camera = msgspec.structs.replace(config.cameras[0], face_search=FaceSearch.REGIONS)
    pictures = [jpeg for step in Replay(clip, config, camera) for _, jpeg in step.result.changes if jpeg]
    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in pictures]
    assert images
    detector = FaceDetector(0.6)
    assert [detector.detect(image) for image in images] == [[]] * len(images)


def _opened(lines: list[bytes]) -> list[ReplayedChange]:
    changes = [msgspec.json.decode(line, type=ReplayedChange) for line in lines]
    return [change for change in changes if change.change.kind is ChangeKind.OPENED]


@pytest.mark.long
def test_two_runs_give_identical_bytes_even_under_load(clip: Path, lines: list[bytes]) -> None:
    """Frame times, boxes, evidence, ids and the pictures' hashes are all in these bytes."""
    stop = threading.Event()

    def burn() -> None:
        while not stop.is_set():
            np.linalg.svd(np.ones((60, 60)))

    busy = threading.Thread(target=burn)
    busy.start()
    try:
        again = _lines(clip)
    finally:
        stop.set()
        busy.join()
    assert again == lines
    assert len(lines) >= 2


def _run(*arguments: str) -> str:
    return _result(*arguments).stdout


def _result(*arguments: str) -> Result:
    result = CliRunner().invoke(replay, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result


def test_explain_gives_the_reason_for_each_person(clip: Path, tmp_path: Path) -> None:
    plot = tmp_path / "evidence.svg"
    text = _run(str(clip), "--explain", "--plot", str(plot))
    assert text.count("  face ") == text.count("person ", text.index("person 1:")) >= 2
    assert "reported  no mask: opened" in text
    assert "why       not reported: the verdict is mask" in text
    assert "(no mask from +6.9, mask from -4.6)" in text
    drawing = plot.read_text(encoding="utf-8")
    assert drawing.startswith("<svg ")
    assert drawing.count("<polyline") >= 2


def test_the_annotated_video_has_every_frame_and_no_face(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    _run(str(clip), "--annotate", str(out))
    with av.open(str(out)) as video, av.open(str(clip)) as source:
        frames = [f.to_ndarray(format="bgr24") for f in video.decode(video=0)]
        originals = [f.to_ndarray(format="bgr24") for f in source.decode(video=0)][::2]
    assert len(frames) == len(originals)
    detector = FaceDetector(0.6)
    seen = sum(len(detector.detect(image)) for image in originals)
    left = sum(len(detector.detect(image)) for image in frames)
    assert seen > 20
    assert left <= 0.02 * seen


def test_the_written_pictures_show_no_face(clip: Path, tmp_path: Path) -> None:
    _run(str(clip), "--pictures", str(tmp_path / "pictures"))
    files = sorted((tmp_path / "pictures").iterdir())
    assert files
    detector = FaceDetector(0.6)
    assert [detector.detect(cv2.imread(str(file))) for file in files] == [[]] * len(files)


def test_a_missing_file_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match="nowhere"):
        CliRunner().invoke(replay, ["nowhere.mp4"], catch_exceptions=False)


def test_a_video_that_cannot_be_written_is_one_clear_error(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        CliRunner().invoke(
            replay, [str(clip), "--annotate", str(tmp_path / "no" / "out.mp4")], catch_exceptions=False
        )


def test_the_camera_must_be_named_when_there_are_several() -> None:
    cameras = tuple(CameraConfig(name=name, url=SecretUrl("x.mp4")) for name in ("door", "till"))
    config = Config(cameras=cameras)
    assert choose_camera(config, "till").name == "till"
    with pytest.raises(ConfigError, match=r"--camera.*door, till"):
        choose_camera(config, None)
    with pytest.raises(ConfigError, match=r"no camera 'roof'.*door, till"):
        choose_camera(config, "roof")


def test_the_gate_misses_no_violation(clip: Path) -> None:
    """The same violations with the motion gate on and off, for fewer looks."""
    config = default_config(clip)
    camera = config.cameras[0]
    counts = []
    for gated in (True, False):
        run = Replay(clip, config, camera, gated=gated)
        opened = [c for c in run.changes() if c.change.kind is ChangeKind.OPENED]
        counts.append((len(opened), run.analysed, run.frames))
    (with_gate, analysed, frames), (without, all_analysed, _) = counts
    assert with_gate == without == 1
    assert analysed <= all_analysed == frames


@pytest.fixture
def office_hours(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        "cameras:\n"
        "  - {name: a, url: rtsp://a.example/s, time_zone: Asia/Tokyo,"
        " schedule: {start: '09:00', end: '17:00'}}\n"
    )
    return path


def test_the_start_is_read_in_the_cameras_time_zone(clip: Path, office_hours: Path) -> None:
    """Office hours of Tokyo hold at 12:00 there, and not at 12:00 UTC."""
    in_hours = _run(str(clip), "--config", str(office_hours), "--start", "2026-03-02T12:00")
    off_hours = _run(
        str(clip), "--config", str(office_hours), "--start", "2026-03-02T12:00Z", "--explain"
    )
    assert "opened" in in_hours
    assert "opened" not in off_hours
    assert "is outside its hours now" in off_hours


def test_a_replay_reports_the_time_it_assumes(clip: Path, office_hours: Path) -> None:
    assumed = _result(str(clip), "--config", str(office_hours))
    assert "The first frame is of Thu 2026-01-01 09:00 JST (assumed" in assumed.stderr
    assert "The first frame is of Thu 2026-01-01 00:00 UTC (assumed" in _result(str(clip)).stderr
    assert "The first frame" not in _result(str(clip), "--json").stderr


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (17, 15)])
def test_a_picture_of_any_size_can_be_annotated(tmp_path: Path, size: tuple[int, int]) -> None:
    clip = tmp_path / "tiny.mkv"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
        for _ in range(3):
            picture = np.zeros((size[1], size[0], 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    out = tmp_path / "out.mp4"
    _run(str(clip), "--annotate", str(out))
    with av.open(str(out)) as video:
        assert len(list(video.decode(video=0))) == 3
