"""The tables. Every constraint has a name, so that a migration can refer to it.

Times are UTC and aware in Python, ISO text of fixed width in SQLite, so that they sort as text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from maskwatch.decoding import decode_json
from maskwatch.domain import Change, Incident
from maskwatch.store.pictures import StoredPicture

_CHANGES = msgspec.json.Decoder(Change)
_INCIDENTS = msgspec.json.Decoder(Incident)
_NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC; a naive one raises ValueError."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time needs a time zone, got {value.isoformat()}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


class Base(DeclarativeBase):
    """The base of all tables: names of constraints, and the storage of Python's types."""

    metadata = MetaData(naming_convention=_NAMES)
    # Of all other columns: see `maskwatch.store.checksums`. A later migration recomputes it.
    checksum: Mapped[int | None]
    type_annotation_map = {datetime: UtcDateTime, UUID: Uuid(), list[str]: JSON()}  # noqa: RUF012 - SQLAlchemy's way to declare it


class ViolationRow(Base):
    """One violation, in the state of its newest change."""

    __tablename__ = "violation"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        CheckConstraint("verdict IN ('mask', 'no_mask', 'incorrect', 'unknown')", name="verdict"),
        CheckConstraint("(ended IS NULL) = (close_reason IS NULL)", name="closed"),
        Index("ix_violation_started", "started"),
        Index("ix_violation_camera_started", "camera", "started"),
        Index("ix_violation_open", "camera", sqlite_where=text("ended IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int]
    owner: Mapped[str] = mapped_column(String(200))
    camera: Mapped[str] = mapped_column(String(64))
    zone: Mapped[str] = mapped_column(String(64))
    zones: Mapped[list[str]]
    track: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(16))
    first_seen: Mapped[datetime]
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    close_reason: Mapped[str | None] = mapped_column(String(16))
    confidence: Mapped[float]
    evidence: Mapped[float]
    readings: Mapped[int]
    face_height: Mapped[float]
    model: Mapped[str] = mapped_column(String(200))
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(100))
    # It opened while its camera was snoozed: it has no deliveries.
    silenced: Mapped[bool] = mapped_column(server_default=text("0"))


class IncidentRow(Base):
    """One incident, in the state of its newest change."""

    __tablename__ = "incident"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        Index("ix_incident_started", "started"),
        Index("ix_incident_open", "kind", sqlite_where=text("ended IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int]
    owner: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(32))
    camera: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)
    started: Mapped[datetime]
    ended: Mapped[datetime | None]


class ChangeRow(Base):
    """One change of a violation or an incident; `body` is the complete change as JSON.

    The body is what is delivered: a pending change must not show later changes of its violation.
    """

    __tablename__ = "change"
    __table_args__ = (
        UniqueConstraint("subject", "number"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("(violation_id IS NULL) <> (incident_id IS NULL)", name="one_subject"),
        Index("ix_change_violation_id", "violation_id"),
        Index("ix_change_incident_id", "incident_id"),
        Index("ix_change_picture", "at", sqlite_where=text("picture IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[UUID]
    number: Mapped[int]
    violation_id: Mapped[UUID | None] = mapped_column(ForeignKey("violation.id", ondelete="CASCADE"))
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    stored_at: Mapped[datetime]
    body: Mapped[str] = mapped_column(Text)
    picture: Mapped[str | None] = mapped_column(String(100))
    picture_bytes: Mapped[int]
    # None for a picture that an earlier version stored.
    picture_sha256: Mapped[str | None] = mapped_column(String(64))

    deliveries: Mapped[list[OutboxRow]] = relationship(
        back_populates="change", order_by="OutboxRow.id", passive_deletes=True
    )

    @property
    def stored_picture(self) -> StoredPicture | None:
        if self.picture is None:
            return None
        return StoredPicture(self.picture, self.picture_bytes, self.picture_sha256)

    def decode(self) -> Change | Incident:
        """Decode the body. Raises msgspec.DecodeError if it is not valid."""
        if self.violation_id is not None:
            return decode_json(_CHANGES, self.body)
        return decode_json(_INCIDENTS, self.body)


class OutboxState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"  # refused while others were accepted, or behind such a change of the same subject
    SUPERSEDED = "superseded"  # a later change of the same subject was delivered first


class OutboxRow(Base):
    """The delivery of one change to one sink."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("sink", "subject", "number"),
        CheckConstraint("state IN ('pending', 'delivered', 'parked', 'superseded')", name="state"),
        Index("ix_outbox_pending", "sink", "id", sqlite_where=text("state = 'pending'")),
        Index("ix_outbox_parked", "sink", sqlite_where=text("state = 'parked'")),
        Index("ix_outbox_change_id", "change_id"),
        Index("ix_outbox_subject", "subject"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sink: Mapped[str] = mapped_column(String(64))
    change_id: Mapped[int] = mapped_column(ForeignKey("change.id", ondelete="CASCADE"))
    subject: Mapped[UUID]
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)

    change: Mapped[ChangeRow] = relationship(back_populates="deliveries")
    history: Mapped[list[AttemptRow]] = relationship(order_by="AttemptRow.number", passive_deletes=True)


class AttemptRow(Base):
    """The result of one attempt to deliver."""

    __tablename__ = "attempt"

    outbox_id: Mapped[int] = mapped_column(ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    sent_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    fate: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(Text)


class SnoozeRow(Base):
    """A snoozed camera: new violations of it are not delivered until then."""

    __tablename__ = "snooze"

    camera: Mapped[str] = mapped_column(String(64), primary_key=True)
    since: Mapped[datetime]
    until: Mapped[datetime]
    snoozed_by: Mapped[str | None] = mapped_column(String(100))


class OccupancyRow(Base):
    """People counted in one zone and minute."""

    __tablename__ = "occupancy"
    __table_args__ = (Index("ix_occupancy_minute", "minute"),)

    camera: Mapped[str] = mapped_column(String(64), primary_key=True)
    zone: Mapped[str] = mapped_column(String(64), primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    seen: Mapped[int]
    judged: Mapped[int]
    masked: Mapped[int]
    unmasked: Mapped[int]
    incorrect: Mapped[int]
    unknown: Mapped[int]
    peak: Mapped[int]
