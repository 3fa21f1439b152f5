"""The MQTT topics, in one table, and the encoding that makes any name safe in them.

docs/mqtt.md shows this table; a test compares the two, and both with what is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

CONTENT_JSON = "application/json"
CONTENT_JPEG = "image/jpeg"
CONTENT_TEXT = "text/plain"

_DAY = 86_400
# Reserved in topics, or the escape character of the encoding; `$` begins the broker's own topics.
_RESERVED = frozenset("/+#%$")


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One kind of topic.

    Attributes:
        pattern: levels under ``prefix/node``, with names of values in braces.
        about: one sentence for the documentation.
        schema: name of the JSON Schema in docs/schemas, "" if the payload is no JSON.
        content: MQTT 5 content type.
        retained: whether the broker keeps the last message.
        expiry: seconds after which an MQTT 5 broker drops the message; None: never.
        incoming: whether maskwatch subscribes to it rather than publishes it.
    """

    pattern: str
    about: str
    schema: str = ""
    content: str = CONTENT_JSON
    retained: bool = False
    expiry: int | None = None
    incoming: bool = False


class Topic(Enum):
    """The table of topics."""

    STATUS = TopicSpec(
        "status",
        "`online`, or `offline` (last will, and at an orderly end).",
        content=CONTENT_TEXT,
        retained=True,
    )
    OWNER = TopicSpec(
        "owner",
        "Which host publishes under this node, so that two daemons of one name notice each other.",
        schema="owner",
        retained=True,
    )
    CANARY = TopicSpec(
        "canary",
        "For maskwatch itself: at each connect it must receive back what it publishes here.",
        content=CONTENT_TEXT,
        expiry=30,
    )
    CAMERA_STATE = TopicSpec(
        "camera/{camera}/state",
        "The state of a camera, its reason, and since when it lasts.",
        schema="camera-state",
        retained=True,
    )
    SNOOZE = TopicSpec(
        "camera/{camera}/snooze",
        "Until when no alerts are sent of a camera's new violations.",
        schema="snooze",
        retained=True,
    )
    SNAPSHOT = TopicSpec(
        "camera/{camera}/snapshot",
        "The anonymized JPEG that the newest `snapshot` command took; cleared after a day.",
        content=CONTENT_JPEG,
        retained=True,
        expiry=_DAY,
    )
    VIOLATION = TopicSpec(
        "camera/{camera}/violation",
        "An alert: a violation was opened, updated or closed.",
        schema="violation",
        expiry=_DAY,
    )
    PICTURE = TopicSpec(
        "camera/{camera}/picture",
        "The anonymized JPEG of the alert that follows it (only with `send_pictures`).",
        content=CONTENT_JPEG,
        expiry=_DAY,
    )
    OPEN_VIOLATIONS = TopicSpec(
        "camera/{camera}/open_violations",
        "The violations that are open now.",
        schema="open-violations",
        retained=True,
    )
    INCIDENT = TopicSpec(
        "camera/{camera}/incident",
        "An alert: trouble with a camera was opened, updated or closed.",
        schema="incident",
        expiry=_DAY,
    )
    OPEN_INCIDENTS = TopicSpec(
        "camera/{camera}/open_incidents",
        "The incidents of a camera that are open now.",
        schema="open-incidents",
        retained=True,
    )
    OCCUPANCY = TopicSpec(
        "camera/{camera}/occupancy",
        "People of the last counted minute in the whole picture.",
        schema="occupancy",
        retained=True,
        expiry=900,
    )
    ZONE_OCCUPANCY = TopicSpec(
        "camera/{camera}/zone/{zone}/occupancy",
        "People of the last counted minute in a zone.",
        schema="occupancy",
        retained=True,
        expiry=900,
    )
    NODE_INCIDENT = TopicSpec(
        "incident",
        "An alert: trouble of the node itself (disk, backlog) was opened, updated or closed.",
        schema="incident",
        expiry=_DAY,
    )
    NODE_OPEN_INCIDENTS = TopicSpec(
        "open_incidents",
        "The incidents of the node itself that are open now.",
        schema="open-incidents",
        retained=True,
    )
    CAMERA_COMMAND = TopicSpec(
        "camera/{camera}/command/{verb}",
        "A command to a camera: `enable`, `disable`, `snooze`, `snapshot`.",
        schema="command",
        expiry=60,
        incoming=True,
    )
    NODE_COMMAND = TopicSpec(
        "command/{verb}",
        "A command to the node: `acknowledge`, `reload`.",
        schema="command",
        expiry=60,
        incoming=True,
    )
    COMMAND_RESULT = TopicSpec("result", "How a command ended.", schema="command-result", expiry=300)


def encode_level(name: str) -> str:
    """Return `name` as one topic level: unsafe characters percent-encoded, reversibly.

    Encoded are ``/ + # % $``, white space, and what cannot be printed.
    """
    return "".join(
        char if char.isprintable() and not char.isspace() and char not in _RESERVED else _percent(char)
        for char in name
    )


def decode_level(text: str) -> str:
    return unquote(text, errors="surrogatepass")


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", errors="surrogatepass"))


@dataclass(frozen=True, slots=True)
class Message:
    """A publication at QoS 1. Expiry, content type and correlation data are sent in MQTT 5 only."""

    topic: str
    payload: bytes
    retain: bool = False
    content: str = CONTENT_TEXT
    expiry: int | None = None
    correlation: bytes = b""


class Topics:
    """The topics of one node; `prefix` may have several levels."""

    def __init__(self, prefix: str, node: str) -> None:
        self.root = f"{prefix.strip('/')}/{encode_level(node)}"

    def of(self, topic: Topic, *, camera: str = "", zone: str = "", verb: str = "") -> str:
        """Return the full topic with these names in it."""
        names = {"camera": camera, "zone": zone, "verb": verb}
        levels = {key: encode_level(name) for key, name in names.items()}
        return f"{self.root}/{topic.value.pattern.format(**levels)}"

    def filter(self, topic: Topic) -> str:
        """Return the subscription filter that matches every topic of this kind."""
        return f"{self.root}/" + topic.value.pattern.format(camera="+", zone="+", verb="+")

    def parse(self, topic: Topic, text: str) -> dict[str, str] | None:
        """Return the names in the full topic `text`; None if it does not match."""
        if not text.startswith(f"{self.root}/"):
            return None
        pattern = topic.value.pattern.split("/")
        levels = text.removeprefix(f"{self.root}/").split("/")
        if len(pattern) != len(levels):
            return None
        names: dict[str, str] = {}
        for expected, actual in zip(pattern, levels, strict=True):
            if expected.startswith("{"):
                try:
                    names[expected.strip("{}")] = decode_level(actual)
                except UnicodeDecodeError:  # `encode_level` never returns this
                    return None
            elif expected != actual:
                return None
        return names
