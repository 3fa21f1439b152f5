"""What people are told: one alert, or many summed up, in words. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.notify.ack_links import AckTokenSigner
from maskwatch.alerts.sink import Delivery
from maskwatch.clock import Clock
from maskwatch.config.schema import ChannelConfig
from maskwatch.config.templates import fill
from maskwatch.domain import Change, ChangeKind, Incident, IncidentKind, Verdict

__all__ = ["Notification", "NotificationRenderer"]

# Lines of a digest before the rest is only counted.
_MOST_LINES = 20

_WHAT = {
    Verdict.NO_MASK: "person without mask",
    Verdict.INCORRECT: "mask not worn properly",
    Verdict.MASK: "person with mask",
    Verdict.UNKNOWN: "person not judged",
}


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to people.

    Attributes:
        title: one line.
        body: plain text.
        picture: file of the anonymized JPEG to attach, if any.
        alerts: the JSON of each alert, as published by MQTT.
        links: where each violation is acknowledged, by its id; none if links are off.

    """

    title: str
    body: str
    picture: Path | None
    alerts: tuple[bytes, ...]
    links: Mapping[str, str] = field(default_factory=dict)


class NotificationRenderer:
    """Writes the letters of one channel; with `tickets`, also where violations are acknowledged."""

    def __init__(
        self,
        channel: ChannelConfig,
        composer: MessageBuilder,
        clock: Clock,
        tickets: AckTokenSigner | None = None,
    ) -> None:
        self._channel = channel
        self._composer = composer
        self._clock = clock
        self._tickets = tickets
        self._zone = ZoneInfo(channel.time_zone)

    def single(self, delivery: Delivery) -> Notification:
        """Return the letter about one alert."""
        words = self._words(delivery)
        picture = delivery.picture if self._channel.picture else None
        return Notification(
            fill(self._channel.title, words),
            fill(self._channel.body, words),
            picture if picture is not None and picture.is_file() else None,
            (self._json(delivery),),
            _links([words]),
        )

    def digest(self, deliveries: Sequence[Delivery]) -> Notification:
        """Return one letter about many alerts."""
        words = [self._words(delivery) for delivery in deliveries]
        counts = Counter((each["what"], each["camera"]) for each in words)
        lines = [f"{number} x {what}: {camera}" for (what, camera), number in counts.most_common()]
        single = [_line(each) for each in words[:_MOST_LINES]]
        if len(words) > _MOST_LINES:
            single.append(f"... and {len(words) - _MOST_LINES} more")
        return Notification(
            f"{len(words)} alerts of {self._composer.node}",
            "\n".join([*lines, "", *single]),
            None,
            tuple(map(self._json, deliveries)),
            _links(words),
        )

    def _words(self, delivery: Delivery) -> dict[str, str]:
        subject = delivery.subject
        if isinstance(subject, Change):
            return self._violation_words(subject)
        return self._incident_words(subject)

    def _violation_words(self, change: Change) -> dict[str, str]:
        ended = change.kind is ChangeKind.CLOSED
        reason = change.violation.close_reason
        return {
            "camera": change.violation.camera,
            "zone": change.violation.zone,
            "what": _WHAT[change.violation.verdict] + (" (ended)" if ended else ""),
            "time": self._time(change.at),
            "reason": reason.value if reason is not None else "",
            "node": self._composer.node,
            "id": str(change.violation.id),
            "link": self._link(change),
        }

    def _incident_words(self, incident: Incident) -> dict[str, str]:
        what = incident.kind.value.replace("_", " ")
        return {
            "camera": incident.camera or self._composer.node,
            "zone": "",
            "what": f"{what} (ended)" if incident.ended else what,
            "time": self._time(incident.ended or incident.started),
            "reason": _reason(incident),
            "node": self._composer.node,
            "id": str(incident.id),
            "link": "",
        }

    def _link(self, change: Change) -> str:
        if self._tickets is None:
            return ""
        return self._tickets.url(change.violation.id, self._channel.name, self._clock.now())

    def _time(self, at: datetime) -> str:
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def _json(self, delivery: Delivery) -> bytes:
        subject, stored = delivery.subject, delivery.stored
        if isinstance(subject, Change):
            return self._composer.violation(subject, stored=stored, picture=None).payload
        return self._composer.incident(subject, stored=stored).payload


def _reason(incident: Incident) -> str:
    """Return why, in words: a blind camera's reason is a name (`out_of_focus`), all others are text."""
    blind = incident.kind is IncidentKind.CAMERA_BLIND
    return incident.reason.replace("_", " ") if blind else incident.reason


def _line(words: Mapping[str, str]) -> str:
    """Return one alert's line in a digest."""
    return f"{words['time']}: {words['what']}: {words['camera']} {words['link']}".rstrip()


def _links(letters: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {words["id"]: words["link"] for words in letters if words["link"]}
