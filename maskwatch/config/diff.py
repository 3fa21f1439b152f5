"""What a changed configuration touches: only that is stopped, started or told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from maskwatch.config.codec import for_recorder
from maskwatch.config.schema import CameraConfig, Config

__all__ = ["Difference", "difference", "with_fixed_of"]


@dataclass(frozen=True, slots=True)
class Difference:
    """From one configuration to another; cameras by name, in the order of their file.

    Attributes:
        start: cameras that are new, or enabled again.
        stop: cameras that are gone, or disabled.
        restart: cameras whose keys changed, and all when what every worker needs changed.
        keep: cameras that go on undisturbed.
        recorder: whether the recorder must be given its new configuration.
        metrics: whether the HTTP server must be opened anew.
        links: the same of the page that acknowledge links lead to.
        log: whether every process must set up its log anew.
        supervision: whether the supervisor's own thresholds changed.
        full_restart: what takes effect only after a restart of the daemon, in words; until then the
            old values stay in force.

    """

    start: tuple[str, ...]
    stop: tuple[str, ...]
    restart: tuple[str, ...]
    keep: tuple[str, ...]
    recorder: bool
    metrics: bool
    links: bool
    log: bool
    supervision: bool
    full_restart: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        cameras = self.start or self.stop or self.restart
        rooms = self.recorder or self.metrics or self.links or self.log or self.supervision
        return not (cameras or rooms or self.full_restart)

    @property
    def in_words(self) -> str:
        """One line for the log and for `maskwatch reload`."""
        cameras = (
            ("started", self.start),
            ("stopped", self.stop),
            ("restarted", self.restart),
        )
        parts = [f"{verb}: {', '.join(names)}" for verb, names in cameras if names]
        rooms = ("recorder", "metrics", "links", "log", "supervision")
        told = [name for name in rooms if getattr(self, name)]
        parts += [f"reconfigured: {', '.join(told)}"] if told else []
        parts += self.full_restart
        if self.keep:
            parts.append(f"undisturbed: {_counted(self.keep)}")
        return "; ".join(parts) if not self.empty else "nothing changed"


# Every process is built on these: they cannot change under it.
_FIXED: tuple[tuple[str, Callable[[Config], object]], ...] = (
    ("node", lambda config: config.node),
    ("data_dir", lambda config: config.data_dir),
    ("runtime_dir", lambda config: config.runtime_dir),
    ("store.reserve_megabytes", lambda config: config.store.reserve_megabytes),
)


def difference(old: Config, new: Config) -> Difference:
    """Return what leads from `old` to `new`."""
    before, after = _enabled(old), _enabled(new)
    stay = [name for name in after if name in before]
    # A worker is given these once, at its start.
    workers_changed = (old.model, old.face_weights) != (new.model, new.face_weights)
    restart = [name for name in stay if workers_changed or before[name] != after[name]]
    return Difference(
        start=_without(after, before),
        stop=_without(before, after),
        restart=tuple(restart),
        keep=_without(stay, restart),
        recorder=_recorder_part(old) != _recorder_part(new),
        metrics=old.metrics != new.metrics,
        links=old.links != new.links,
        log=old.log != new.log,
        supervision=old.supervision != new.supervision,
        full_restart=_fixed_changes(old, new),
    )


def with_fixed_of(new: Config, running: Config) -> Config:
    """Return `new` with the values that only a restart can change as they are in `running`."""
    store = msgspec.structs.replace(new.store, reserve_megabytes=running.store.reserve_megabytes)
    return msgspec.structs.replace(
        new,
        node=running.node,
        data_dir=running.data_dir,
        runtime_dir=running.runtime_dir,
        store=store,
    )


def _enabled(config: Config) -> dict[str, CameraConfig]:
    return {camera.name: camera for camera in config.cameras if camera.enabled}


def _without(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    excluded = set(others)
    return tuple(name for name in names if name not in excluded)


def _recorder_part(config: Config) -> tuple[object, ...]:
    """Return what the recorder acts on: broker, store, and the cameras as it knows them."""
    known = for_recorder(config)
    cameras = tuple((c.name, c.enabled, c.decision.cooldown, c.pictures) for c in known.cameras)
    return known.mqtt, known.people, known.links, known.store.retention, cameras


def _fixed_changes(old: Config, new: Config) -> tuple[str, ...]:
    return tuple(
        f"{key} takes effect after a restart of the daemon" for key, of in _FIXED if of(old) != of(new)
    )


def _counted(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{len(names)} cameras"
