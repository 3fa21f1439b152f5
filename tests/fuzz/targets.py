"""The fuzzed readers of untrusted bytes, and the errors that each may raise."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec

from maskwatch.alerts.mqtt.commands import MqttCommandHandler, _parse_payload
from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.owner import parse_owner
from maskwatch.alerts.mqtt.payloads import CommandResultPayload
from maskwatch.alerts.mqtt.topics import Message, Topics
from maskwatch.alerts.notify.ack_links import AckToken, AckTokenSigner
from maskwatch.capture.h264 import FrameNumGaps, begins_picture
from maskwatch.capture.rtsp_auth import Credentials, Login, challenges, choose
from maskwatch.capture.rtsp_message import Message as RtspMessage
from maskwatch.capture.rtsp_message import MessageError, MessageReader
from maskwatch.clock import SystemClock
from maskwatch.config.load import check_config
from maskwatch.config.schema import Config
from maskwatch.domain import CameraState, OccupancyMinute
from maskwatch.errors import (
    ControlError,
    DataError,
    ManifestError,
    StoreError,
    UsageError,
    WireError,
)
from maskwatch.ipc.control import ReloadRequest, RunCommand, StatusRequest, decode_request, encode_line
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    Configure,
    Heartbeat,
    IncidentChanged,
    Metrics,
    OccupancyCounted,
    Ready,
    Record,
    SnapshotTaken,
    Stop,
    WorkerHello,
)
from maskwatch.ipc.wire import FROM_RECORDER, TO_CHILD, TO_RECORDER, TO_SUPERVISOR, Reader
from maskwatch.ipc.wire import encode as encode_frame
from maskwatch.lab.training.scenes import read_scenes
from maskwatch.lab.training.settings import Settings, read_settings
from maskwatch.lab.training.tables import read_leaks, read_origins, read_split
from maskwatch.lab.truth import Truth
from maskwatch.secrets import Secret
from maskwatch.store import checksums
from maskwatch.store.data_dir import DataDir
from maskwatch.store.queries import Filter, event_detail, events, inventory, read_session
from maskwatch.store.store import open_store
from maskwatch.telemetry.catalogue import FRAMES, METRICS
from maskwatch.telemetry.meter import HistogramSample, Meter, MetricsSnapshot, Sample
from maskwatch.vision.manifest import default_manifest, read_manifest
from tests.fakes.samples import START, change, entry, incident, make_store, violation_id
from tests.fuzz.peers import to_recorder, to_supervisor

_ROOT = Path(__file__).resolve().parents[2]
_DEEP = b"[" * 3000 + b"]" * 3000
_START = b"\x00\x00\x01"
_KEY = Secret("A" * 43 + "=")
_PICTURES = frozenset({"with_mask/1.png"})
_NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
_STEP = METRICS["maskwatch_decode_seconds"]
_BUCKETS = (1,) * (len(_STEP.buckets) + 1)
_COUNTS = MetricsSnapshot(
    (Sample(FRAMES, (("camera", "door"), ("fate", "late")), 1.0), Sample("a", (), 1.0)),
    (HistogramSample(_STEP.name, (("camera", "door"),), _STEP.buckets, _BUCKETS, 1.0),),
)
_MESSAGES: tuple[msgspec.Struct, ...] = (
    *(Ready(), Metrics(snapshot=_COUNTS), Stop(grace=1.0), Command(id="1", verb="snooze")),
    Configure(config=Config(cameras=()), recorder="/run/r"),
    Heartbeat(
        state=CameraState.LIVE,
        reason="",
        since=_NOON,
        leave_by=3.0,
        frames=1,
        last_frame=_NOON,
        attempt=0,
    ),
    *(WorkerHello(camera="door"), Record(change=change()), CommandResult(id="1", ok=True)),
    *(SnapshotTaken(command="1", camera="door", at=_NOON), IncidentChanged(incident=incident())),
    OccupancyCounted(minute=OccupancyMinute("door", "", _NOON, 3, 2, 1, 1, 0, 1, 2)),
)
_FROM_WORKER = (
    Record(change=change()),
    Record(change=change(2, 2, closed=True)),
    SnapshotTaken(command="1", camera="door", at=_NOON),
    OccupancyCounted(minute=OccupancyMinute("door", "", _NOON, 3, 2, 1, 1, 0, 1, 2)),
)
_TRUTH = (
    b'{"name": "a", "kind": "b", "seed": 1, "size": [640, 360], "rate": 10, "seconds": 0.1, "visits": '
    b'[{"person": "p", "portrait": "q", "style": ""}], "frames": [{"at": 0, "people": [{"visit": 0, '
    b'"face": [1, 2, 3, 4], "body": [1, 2, 3, 4], "mask": "bare", "visible": 1, "yaw": 0}]}]}'
)

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
    "owner": [
        b'{"version": 1, "node": "x", "host": "a", "instance": "1", "running": true}',
        _DEEP,
        b'{"host": "\\ud800"}',
    ],
    "handler": [
        b'camera/door/command/snooze\n{"id": "a", "seconds": 60}',
        b'command/acknowledge\n{"id": "a", "target": "x"}',
        b"camera/door/command/format\n{}",
        b"command/reload\n" + _DEEP,
        "camera/\U0001f637\u202e/command/enable\n".encode(),
        b"camera/\xff/command/\x00\n\xff",
        b"camera/%AB/command/enable\n{}",  # found by atheris
    ],
    "wire": [
        b"\x00\x00\x00\x02\x00\x00\x00\x00{}",
        *(encode_frame(message, b"\xff\xd8\xff") for message in _MESSAGES),
        b"\x00\x00\x17\x70\x00\x00\x00\x00" + _DEEP,
        b"\xff" * 8,
    ],
    "recorder": [encode_frame(message, b"\xff\xd8\xff") for message in _FROM_WORKER],
    "supervisor": [encode_frame(message) for message in _MESSAGES if not isinstance(message, Configure)],
    "nal": [
        _START + b"\x67\x42\xc0\x1e\xd9\x00\xa0\x47\xfe\x88" + _START + b"\x68\xce\x3c\x80",
        _START + b"\x65\x88\x84" + _START + b"\x41\x9a\x24",
    ],
    "rtsp": [
        b'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm="x", nonce="y", qop="auth"\r\n\r\n',
        b"$\x00\x00\x02abRTSP/1.0 200 OK\nContent-Length: 3\n\nv=0$\x01\xff\xff",
        b'RTSP/1.0 401 No\r\nWWW-Authenticate: Basic realm="\xff, digest algorithm=SHA-256-sess',
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ],
    "manifest": [default_manifest().read_bytes(), _DEEP, b'{"format": 1, "x": ' + _DEEP + b"}"],
    "truth": [_TRUTH, b'{"version": 1}', b'{"x": ' + _DEEP + b"}", b'{"version": 99999999999999999999}'],
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
    "split": [b"path,split\nwith_mask/1.png,test\n", b"\xef\xbb\xbfpath,split\nwith_mask/1.png,train\n"],
    "origins": [b"path,source,original\nwith_mask/1.png,web,set/1.jpg\n"],
    "leaks": [
        b"test_path,train_path\na,b\n",
        b"test_path\na\n",
        b"\xff",
        b'"\r\x00',
        b"test_path,train_path\na\n",
    ],
    "settings": [
        msgspec.json.encode(Settings(data=("faces",), scenes=("a.json",), hold_out=("b",))),
        b'{"x": ' + _DEEP + b"}",
    ],
    "control": [
        *(encode_line(each) for each in (StatusRequest(), ReloadRequest(), RunCommand(verb="disable"))),
        _DEEP,
    ],
    "link": [
        AckTokenSigner(_KEY, "gate", "", 60.0).url(violation_id(1), "guard", START).encode(),
        b"/acknowledge/" + b"0" * 32 + b"/x/999999999999/" + b"A" * 43,
    ],
    "body": [msgspec.json.encode(change()), msgspec.json.encode(incident()), _DEEP],
    "database": [b"", b"\x00\x10\xff", bytes(range(60)), b"\x10\x00\x0d\x10\x05\x00\x20\x00\xff" * 9],
}
"""The seeds of each target."""


def run(name: str, data: bytes) -> None:
    """Let the target `name` read `data`; an unexpected error is raised."""
    _READERS[name](data)


def _file(read: Callable[[Path], object], *allowed: type[Exception]) -> Callable[[bytes], None]:
    """Return a target that reads a file and may raise these errors."""

    def target(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "settings.json"
            path.write_bytes(data)
            try:
                read(path)
            except allowed:
                return

    return target


def _handler(data: bytes) -> None:
    """Repeat one message: only the burst is run, and every answer is JSON."""
    topics = Topics("maskwatch", "gate")
    handler = MqttCommandHandler(MessageBuilder(topics, "gate"))
    tail, _, payload = data.partition(b"\n")
    topic = f"{topics.root}/{tail.decode(errors='replace')}"
    assert handler.receive(Received(topic, payload, retained=True, correlation=b"c"), 100.0) is None
    commands: list[Command] = []
    for _ in range(15):
        outcome = handler.receive(Received(topic, payload, retained=False, correlation=b"c"), 100.0)
        if isinstance(outcome, Command):
            commands.append(outcome)
            outcome = handler.complete(CommandResult(id=outcome.id, ok=True))
        if isinstance(outcome, Message):
            msgspec.json.decode(outcome.payload, type=CommandResultPayload)
    assert len(commands) <= 10
    assert len({command.id for command in commands}) == len(commands)


def _wire(data: bytes) -> None:
    for decoder in (TO_CHILD, TO_SUPERVISOR, TO_RECORDER, FROM_RECORDER):
        reader: Reader[object] = Reader(decoder)
        try:
            reader.feed(data[:7])
            reader.feed(data[7:])
        except WireError:
            continue


def _nal(data: bytes) -> None:
    numbers = FrameNumGaps()
    for codec in ("h264", "hevc"):
        begins_picture(codec, data)
    for cut in (len(data) // 2, len(data)):
        numbers.missed(data[:cut])


def _rtsp(data: bytes) -> None:
    reader = MessageReader()
    login = Credentials("ann", Secret("x"))
    for part in (data[:7], data[7:]):
        reader.feed(part)
        with suppress(MessageError):
            while (found := reader.next()) is not None:
                if isinstance(found, RtspMessage):
                    chosen = choose(challenges(found.all("WWW-Authenticate")), basic=True)
                    header = "" if chosen is None else Login(chosen, login).header("PLAY", found.uri)
                    assert "\n" not in header
                    assert found.status < 1000


def _control(data: bytes) -> None:
    try:
        decode_request(data)
    except ControlError:
        return


def _link(data: bytes) -> None:
    signer = AckTokenSigner(_KEY, "gate", "", 60.0)
    found = signer.verify(data.decode(errors="replace"), START)
    if isinstance(found, AckToken):  # only links that this signer signed
        assert data.decode().endswith(signer.url(found.violation, found.channel, START))


@cache
def _sample_store() -> tuple[Path, bytes]:
    """Return a temporary folder, and the bytes of a valid database with changes."""
    folder = Path(tempfile.mkdtemp(prefix="maskwatch-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = make_store(folder / "sound")
    store.changes.record([entry(change(index, closed=index % 2 == 0)) for index in range(1, 20)])
    store.changes.record([entry(incident())])
    store.close()
    return folder, (folder / "sound" / "maskwatch.db").read_bytes()


def _read_all(path: Path) -> None:
    with read_session(path) as session:
        for event in events(session, Filter()):
            event_detail(session, event.id)
        inventory(session, path.parent / "pictures")


def _body(data: bytes) -> None:
    """Read a row with any content, as `maskwatch events` and the deliveries do."""
    folder, sound = _sample_store()
    path = folder / "maskwatch.db"
    path.write_bytes(sound)
    with closing(sqlite3.connect(path)) as database, database:
        text = data.decode(errors="replace")
        database.execute("UPDATE change SET body = ? WHERE rowid = 3", (text,))
        checksums.register(database)
        checksums.compute(database)  # as if it had been stored so
    try:
        _read_all(path)
    except StoreError:
        return


def _database(data: bytes) -> None:
    """Read a database with altered bytes; `data` are triples of position (2 bytes) and value."""
    folder, sound = _sample_store()
    data_dir = DataDir(folder / "altered")
    shutil.rmtree(data_dir.path, ignore_errors=True)
    data_dir.prepare()
    altered = bytearray(sound)
    for at in range(0, len(data) - 2, 3):
        spot = int.from_bytes(data[at : at + 2], "big")
        altered[(spot >> 8 << 12 | spot & 0xFF if at % 4 else spot * 7) % len(altered)] = data[at + 2]
    data_dir.database.write_bytes(altered)
    with suppress(StoreError):
        _read_all(data_dir.database)
    try:
        store, _ = open_store(
            data_dir, sinks=("mqtt",), reserve_bytes=0, clock=SystemClock(), meter=Meter()
        )
    except StoreError:
        return
    with closing(store):
        store.changes.record([entry(change(99))])
        store.state.open_changes()
        store.outbox.waiting("mqtt", 50)
    with suppress(StoreError):  # a row on valid pages may be invalid: an error when it is read
        _read_all(data_dir.database)


_READERS: dict[str, Callable[[bytes], object]] = {
    "config": _file(lambda path: check_config(path, environ={"A": "1"})),
    "command": _parse_payload,
    "owner": parse_owner,
    "handler": _handler,
    "wire": _wire,
    "recorder": to_recorder,
    "supervisor": to_supervisor,
    "nal": _nal,
    "rtsp": _rtsp,
    "manifest": _file(read_manifest, ManifestError),
    "truth": _file(Truth.load, DataError),
    "annotations": _file(read_scenes, DataError),
    "leaks": _file(lambda path: read_leaks(path, "train_path", _PICTURES), DataError),
    "split": _file(lambda path: read_split(path, _PICTURES), DataError),
    "origins": _file(lambda path: read_origins(path, _PICTURES), DataError),
    "control": _control,
    "link": _link,
    "body": _body,
    "database": _database,
    "settings": _file(lambda path: read_settings(path.parent), DataError, UsageError),
}
