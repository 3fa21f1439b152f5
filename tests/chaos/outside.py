"""What surrounds the daemon of the storm, and fails: cameras, the broker, a notification service."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.fakes.mosquitto import Mosquitto
from tests.fakes.stubborn_broker import Behaviour, StubbornBroker
from tests.fakes.web_peer import Request, WebPeer

CAMERA_FAULTS: dict[str, Any] = {
    "stall": True,
    "drop": 0.3,
    "corrupt": 0.3,
    "silent": True,
    "garbage": True,
    "close": True,
}
"""Fields of `maskwatch.lab.rtsp.Faults`, with their values."""

_STUBBORN = {
    "acknowledges nothing": Behaviour(),
    "refuses every alert": Behaviour(puback=0x97),  # quota exceeded
    "refuses the connection": Behaviour(connack=0x88),  # server unavailable
    "sends garbage": Behaviour(garbage=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}
_SET_UP_WRONGLY = {
    "maximum packet size": ("", "max_packet_size 400\n"),
    "login": ("allow_anonymous true", "allow_anonymous false"),
}
_ACCESS_LIST = "access list"
_ABSENT = "absent"
BROKER_FAULTS = (_ABSENT, _ACCESS_LIST, *_SET_UP_WRONGLY, *_STUBBORN)


class Broker(Mosquitto):
    """Keeps sessions across restarts; may be away, set up wrongly, or replaced by a stubborn one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._rules = folder / "acl"
        self._rules.write_text("topic readwrite #\n")
        lines = [
            "allow_anonymous true",
            f"acl_file {self._rules}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
        ]
        super().__init__(folder, lines)
        self._right = self.config.read_text()
        self._other: StubbornBroker | None = None
        self.fault = ""

    def fail(self, fault: str) -> None:
        """Begin a fault of `BROKER_FAULTS`, until `repair`."""
        self.fault = fault
        if fault == _ACCESS_LIST:
            self._rules.write_text("topic read #\n")
            self.reload()
            return
        self.stop()
        if fault in _SET_UP_WRONGLY:
            old, new = _SET_UP_WRONGLY[fault]
            text = self._right.replace(old, new) if old else self._right + new
            self.config.write_text(text)
            self.start()
        elif fault in _STUBBORN:
            self._other = StubbornBroker(_STUBBORN[fault], self.port)

    def repair(self) -> None:
        fault, self.fault = self.fault, ""
        self._rules.write_text("topic readwrite #\n")
        if fault == _ACCESS_LIST:
            self.reload()
            return
        self.close_other()
        self.stop()
        self.config.write_text(self._right)
        self.start()

    def close_other(self) -> None:
        """Close what answers in its place."""
        if self._other is not None:
            self._other.close()
            self._other = None


def _slowly(_: Request) -> int:
    time.sleep(4)
    return 200


SERVICE_FAULTS = {
    "absent": None,
    "answers 503": lambda _: 503,
    "answers 404": lambda _: 404,
    "answers 429": lambda _: 429,
    "redirects": lambda _: 307,
    "answers slowly": _slowly,
}


class NotifyService:
    """A webhook's receiver that fails at times."""

    def __init__(self) -> None:
        self._peer: WebPeer | None = WebPeer()
        self._former: list[WebPeer] = []
        self.port = self._peer.port
        self.fault = ""

    def fail(self, fault: str) -> None:
        """Begin a fault of `SERVICE_FAULTS`, until `repair`."""
        self.fault = fault
        judge = SERVICE_FAULTS[fault]
        assert self._peer is not None
        if judge is None:
            self.close()
        else:
            self._peer.judge = judge

    def repair(self) -> None:
        self.fault = ""
        if self._peer is None:
            self._peer = WebPeer(self.port)
        self._peer.judge = lambda _: 200

    def received(self) -> set[tuple[str, int]]:
        """Return id and number of every alert that was taken."""
        peers = [*self._former, *([self._peer] if self._peer else [])]
        bodies = [json.loads(request.body) for peer in peers for request in peer.taken()]
        return {(alert["id"], alert["number"]) for body in bodies for alert in body["alerts"]}

    def close(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._former.append(self._peer)
            self._peer = None
