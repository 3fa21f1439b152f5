"""Renders notifications: one alert as text, or many as a digest. Its only I/O checks for the picture."""

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
from maskwatch.domain.visible_text import visible

# Alerts that a digest lists; more are only counted.
_MAX_LINES = 20

_VERDICT_TEXTS = {
    Verdict.NO_MASK: "person without mask",
    Verdict.INCORRECT: "mask not worn properly",
    Verdict.MASK: "person with mask",
    Verdict.UNKNOWN: "person not judged",
}


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to people.

    Attributes:
        title: one line, without invisible characters.
        body: plain text of one or more lines.
        picture: file of the anonymized JPEG to attach, if any.
        alerts: the JSON of each alert, as published by MQTT.
        links: URL that acknowledges each violation, by its id; empty if links are off.
    """

    title: str
    body: str
    picture: Path | None
    alerts: tuple[bytes, ...]
    links: Mapping[str, str] = field(default_factory=dict)


class NotificationRenderer:
    """Renders the notifications of one channel; with a `signer`, with links to acknowledge."""

    def __init__(
        self,
        channel: ChannelConfig,
        builder: MessageBuilder,
        clock: Clock,
        signer: AckTokenSigner | None = None,
    ) -> None:
        self._channel = channel
        self._builder = builder
        self._clock = clock
        self._signer = signer
        self._zone = ZoneInfo(channel.time_zone)

    def single(self, delivery: Delivery) -> Notification:
        fields = self._fields(delivery)
        picture = delivery.picture if self._channel.picture else None
        return Notification(
            " ".join(fill(self._channel.title, fields).split()),
            fill(self._channel.body, fields),
            picture if picture is not None and picture.is_file() else None,
            (self._json(delivery),),
            _links([fields]),
        )

    def digest(self, deliveries: Sequence[Delivery]) -> Notification:
        alerts = [self._fields(delivery) for delivery in deliveries]
        counts = Counter((each["what"], each["camera"]) for each in alerts)
        totals = [f"{number} x {what}: {camera}" for (what, camera), number in counts.most_common()]
        lines = [_line(each) for each in alerts[:_MAX_LINES]]
        if len(alerts) > _MAX_LINES:
            lines.append(f"... and {len(alerts) - _MAX_LINES} more")
        return Notification(
            f"{len(alerts)} alerts of {visible(self._builder.node)}",
            "\n".join([*totals, "", *lines]),
            None,
            tuple(map(self._json, deliveries)),
            _links(alerts),
        )

    def _fields(self, delivery: Delivery) -> dict[str, str]:
        """Return the words for placeholders, also visible where an older release stored the name."""
        subject = delivery.subject
        fields = (
            self._violation_fields(subject)
            if isinstance(subject, Change)
            else self._incident_fields(subject)
        )
        return {word: visible(text) for word, text in fields.items()}

    def _violation_fields(self, change: Change) -> dict[str, str]:
        ended = change.kind is ChangeKind.CLOSED
        reason = change.violation.close_reason
        return {
            "camera": change.violation.camera,
            "zone": change.violation.zone,
            "what": _VERDICT_TEXTS[change.violation.verdict] + (" (ended)" if ended else ""),
            "time": self._time(change.at),
            "reason": reason.value if reason is not None else "",
            "node": self._builder.node,
            "id": str(change.violation.id),
            "link": self._link(change),
        }

    def _incident_fields(self, incident: Incident) -> dict[str, str]:
        what = incident.kind.value.replace("_", " ")
        return {
            "camera": incident.camera or self._builder.node,
            "zone": "",
            "what": f"{what} (ended)" if incident.ended else what,
            "time": self._time(incident.ended or incident.started),
            "reason": _reason(incident),
            "node": self._builder.node,
            "id": str(incident.id),
            "link": "",
        }

    def _link(self, change: Change) -> str:
        if self._signer is None:
            return ""
        return self._signer.url(change.violation.id, self._channel.name, self._clock.now())

    def _time(self, at: datetime) -> str:
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def _json(self, delivery: Delivery) -> bytes:
        subject, stored = delivery.subject, delivery.stored
        if isinstance(subject, Change):
            return self._builder.violation(subject, stored=stored, picture=None).payload
        return self._builder.incident(subject, stored=stored).payload


def _reason(incident: Incident) -> str:
    """Return the reason as text: a blind camera's is an identifier (`out_of_focus`)."""
    blind = incident.kind is IncidentKind.CAMERA_BLIND
    return incident.reason.replace("_", " ") if blind else incident.reason


def _line(fields: Mapping[str, str]) -> str:
    return f"{fields['time']}: {fields['what']}: {fields['camera']} {fields['link']}".rstrip()


def _links(alerts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {fields["id"]: fields["link"] for fields in alerts if fields["link"]}
