"""Every decoder of a peer's bytes raises its one documented error, whatever the bytes are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from maskwatch.alerts.mqtt.commands import _parse_id, _parse_payload
from maskwatch.decoding import decode_json
from maskwatch.domain import Change, Incident
from maskwatch.errors import ControlError, ManifestError, WireError
from maskwatch.files import read_json
from maskwatch.ipc.control import decode_answer, decode_request
from maskwatch.ipc.wire import FROM_RECORDER, TO_CHILD, TO_RECORDER, TO_SUPERVISOR, Reader
from maskwatch.store.models import ChangeRow
from maskwatch.vision.manifest import read_manifest
from tests.fakes.hostile_json import HOSTILE_JSON, hostile_json
from tests.fakes.hostile_peers import frame
from tests.fakes.samples import violation_id

MESSAGE_TYPES = ("worker_hello", "heartbeat", "metrics", "record", "stop", "command", "status")
WIRES = (TO_CHILD, TO_SUPERVISOR, TO_RECORDER, FROM_RECORDER)
BODIES = {"violation_id": Change, "incident_id": Incident}


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_hostile_json_raises_nothing_but_the_documented_error(kind: str, message_type: str) -> None:
    data = hostile_json(kind, message_type)
    for decoder in WIRES:
        _raises_only(WireError, Reader(decoder).feed, frame(data))
    for decode in (decode_request, decode_answer):
        _raises_only(ControlError, decode, data)
    _parse_id(data)
    _parse_payload(data)


@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_a_file_of_hostile_json_is_a_clear_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(hostile_json(kind, "x"))
    _raises_only(msgspec.DecodeError, lambda _: read_json(path, 1 << 20, dict), b"")
    with pytest.raises(ManifestError):
        read_manifest(path)


@pytest.mark.parametrize("column", BODIES)
@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_a_damaged_row_is_a_decode_error(kind: str, column: str) -> None:
    body = hostile_json(kind, "x").decode(errors="surrogateescape")
    row = ChangeRow(body=body, **{column: violation_id(1)})
    with pytest.raises(msgspec.DecodeError):
        row.decode()


def test_too_deep_nesting_is_named_as_such() -> None:
    with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
        decode_json(msgspec.json.Decoder(), b"[" * 30_000)


def _raises_only(allowed: type[Exception], decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except allowed:
        return
