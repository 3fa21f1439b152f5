"""What is fuzzed: each reader of untrusted bytes, and the only errors that it may raise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from maskwatch.alerts.commands import Answer, CommandDesk, _payload
from maskwatch.alerts.link import Received
from maskwatch.alerts.payloads import CommandResultPayload, encode
from maskwatch.alerts.topics import Topics
from maskwatch.capture.nal import begins_picture
from maskwatch.capture.numbering import FrameNumbers
from maskwatch.config.load import examine
from maskwatch.errors import DataError, ManifestError, UsageError, WireError
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.ipc.wire import FROM_RECORDER, TO_CHILD, TO_RECORDER, TO_SUPERVISOR, Reader
from maskwatch.testing.truth import Truth
from maskwatch.training.dataset import read_leaks, read_scenes
from maskwatch.training.settings import read_settings
from maskwatch.vision.manifest import default_manifest, read_manifest

__all__ = ["TARGETS", "run"]

_ROOT = Path(__file__).resolve().parents[2]
_DEEP = b"[" * 3000 + b"]" * 3000
_START = b"\x00\x00\x01"

TARGETS: dict[str, list[bytes]] = {
    "config": [
        (_ROOT / "config.example.yaml").read_bytes()[:4000],
        b"cameras: [{name: a, url: 'rtsp://u:p@h:1/s', zones: [{name: z, outline: [[0,0],[1,1]]}]}]",
        b"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\ncameras: *c\n",
        b"<<: {cameras: [{<<: {name: a}}]}",
        b"cameras: [{rate: 1e999, smallest_face: 99999999999999999999999}]",
        "cameras: [{name: '\u202e\ufeff\U0001f637', url: \u00e9}]".encode(),
        _DEEP,
    ],
    "command": [b'{"id": "1", "seconds": 60, "on": true, "target": "x"}', _DEEP, b'{"seconds": 1e400}'],
    "desk": [
        b'camera/door/command/snooze\n{"id": "a", "seconds": 60}',
        b'command/acknowledge\n{"id": "a", "target": "x"}',
        b"camera/door/command/format\n{}",
        b"command/reload\n" + _DEEP,
        "camera/\U0001f637\u202e/command/enable\n".encode(),
        b"camera/\xff/command/\x00\n\xff",
    ],
    "wire": [
        b"\x00\x00\x00\x02\x00\x00\x00\x00{}",
        b"\x00\x00\x17\x70\x00\x00\x00\x00" + _DEEP,
        b"\xff" * 8,
    ],
    "nal": [
        _START + b"\x67\x42\xc0\x1e\xd9\x00\xa0\x47\xfe\x88" + _START + b"\x68\xce\x3c\x80",
        _START + b"\x65\x88\x84" + _START + b"\x41\x9a\x24",
    ],
    "manifest": [default_manifest().read_bytes()[:4000], _DEEP, b'{"format": 1, "x": ' + _DEEP + b"}"],
    "truth": [b'{"version": 1}', b'{"x": ' + _DEEP + b"}", b'{"version": 99999999999999999999}'],
    "annotations": [
        (
            b'{"images": [{"file": "a", "width": 1, "height": 1, "boxes": [[0,0,1,1]], "classes": '
            b'["with_mask"]}]}'
        ),
        b'{"x": ' + _DEEP + b', "images": []}',
        (
            b'{"images": [{"file": "a\\u0000", "width": 1, "height": 1, "boxes": [[1e308,-1e308,1,1]], '
            b'"classes": ["with_mask"]}]}'
        ),
    ],
    "leaks": [
        b"test_path,train_path\na,b\n",
        b"test_path\na\n",
        b"\xff",
        b'"\r\x00',
        b"test_path,train_path\na\n",
    ],
    "settings": [b'{"data": [], "recipe": "cctv"}', b'{"x": ' + _DEEP + b"}"],
}
"""The seeds of each target."""


def run(name: str, data: bytes) -> None:
    """Let the target `name` read `data`; raises what it should not."""
    _READERS[name](data)


def _file(read: Callable[[Path], object], *may: type[Exception]) -> Callable[[bytes], None]:
    """A target that reads a file."""

    def target(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "settings.json"
            path.write_bytes(data)
            try:
                read(path)
            except may:
                return

    return target


def _desk(data: bytes) -> None:
    """A flood of one message: no more run than the burst, all answered in JSON."""
    topics = Topics("maskwatch", "gate")
    desk = CommandDesk(topics, "gate")
    tail, _, payload = data.partition(b"\n")
    topic = f"{topics.root}/{tail.decode(errors='replace')}"
    assert desk.take(Received(topic, payload, retained=True, correlation=b"c"), 100.0) is None
    run_: list[Command] = []
    for _ in range(15):
        outcome = desk.take(Received(topic, payload, retained=False, correlation=b"c"), 100.0)
        if isinstance(outcome, Command):
            run_.append(outcome)
            outcome = desk.done(CommandResult(id=outcome.id, ok=True))
        if isinstance(outcome, Answer):
            assert (
                msgspec.json.decode(encode(outcome.result), type=CommandResultPayload) == outcome.result
            )
    assert len(run_) <= 10
    assert len({command.id for command in run_}) == len(run_)
    assert not desk.overdue(1000.0)


def _wire(data: bytes) -> None:
    for decoder in (TO_CHILD, TO_SUPERVISOR, TO_RECORDER, FROM_RECORDER):
        reader: Reader[object] = Reader(decoder)
        try:
            reader.feed(data[:7])
            reader.feed(data[7:])
        except WireError:
            continue


def _nal(data: bytes) -> None:
    numbers = FrameNumbers()
    for codec in ("h264", "hevc"):
        begins_picture(codec, data)
    for cut in (len(data) // 2, len(data)):
        numbers.missed(data[:cut])


_READERS: dict[str, Callable[[bytes], object]] = {
    "config": _file(lambda path: examine(path, environ={"A": "1"})),
    "command": _payload,
    "desk": _desk,
    "wire": _wire,
    "nal": _nal,
    "manifest": _file(read_manifest, ManifestError),
    "truth": _file(Truth.load, DataError),
    "annotations": _file(read_scenes, DataError),
    "leaks": _file(read_leaks, DataError),
    "settings": _file(lambda path: read_settings(path.parent), DataError, UsageError),
}
