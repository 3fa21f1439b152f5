"""Which processes a changed configuration affects: only those are restarted or reconfigured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from maskwatch.config.codec import for_recorder
from maskwatch.config.schema import CameraConfig, Config


@dataclass(frozen=True, slots=True)
class Difference:
    """The effects of a change of configuration; cameras by name, in the order of their file.

    Attributes:
        start: cameras that are new, or enabled again.
        stop: cameras that are removed, or disabled.
        restart: cameras whose keys changed; all if a key that every worker reads changed.
        keep: cameras that continue undisturbed.
        recorder: whether the recorder needs its new configuration.
        metrics: whether the metrics server must be opened again.
        links: whether the server of acknowledge links must be opened again.
        log: whether every process must set up its log again.
        supervision: whether the supervisor's own thresholds changed.
        full_restart: messages about keys that take effect only after a restart of the daemon; the
            old values apply until then.
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
        parts = self.recorder or self.metrics or self.links or self.log or self.supervision
        return not (cameras or parts or self.full_restart)

    @property
    def in_words(self) -> str:
        """One line for the log and for `maskwatch reload`."""
        cameras = (
            ("started", self.start),
            ("stopped", self.stop),
            ("restarted", self.restart),
        )
        parts = [f"{verb}: {', '.join(names)}" for verb, names in cameras if names]
        sections = ("recorder", "metrics", "links", "log", "supervision")
        changed = [name for name in sections if getattr(self, name)]
        parts += [f"reconfigured: {', '.join(changed)}"] if changed else []
        parts += self.full_restart
        if self.keep:
            parts.append(f"undisturbed: {_listed(self.keep)}")
        return "; ".join(parts) if not self.empty else "nothing changed"


# Keys that a running process cannot change.
_RESTART_KEYS: tuple[tuple[str, Callable[[Config], object]], ...] = (
    ("node", lambda config: config.node),
    ("data_dir", lambda config: config.data_dir),
    ("runtime_dir", lambda config: config.runtime_dir),
    ("store.reserve_megabytes", lambda config: config.store.reserve_megabytes),
)


def difference(old: Config, new: Config) -> Difference:
    """Return the effects of replacing `old` by `new`."""
    before, after = _enabled(old), _enabled(new)
    remaining = [name for name in after if name in before]
    # A worker reads these only at its start.
    workers_changed = (old.model, old.face_weights) != (new.model, new.face_weights)
    restart = [name for name in remaining if workers_changed or before[name] != after[name]]
    return Difference(
        start=_without(after, before),
        stop=_without(before, after),
        restart=tuple(restart),
        keep=_without(remaining, restart),
        recorder=_recorder_view(old) != _recorder_view(new),
        metrics=old.metrics != new.metrics,
        links=old.links != new.links,
        log=old.log != new.log,
        supervision=old.supervision != new.supervision,
        full_restart=_restart_key_changes(old, new),
    )


def with_restart_keys_of(new: Config, running: Config) -> Config:
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


def _recorder_view(config: Config) -> tuple[object, ...]:
    """Return the keys that the recorder uses."""
    view = for_recorder(config)
    cameras = tuple((c.name, c.enabled, c.decision.cooldown, c.pictures) for c in view.cameras)
    return view.mqtt, view.people, view.links, view.store.retention, cameras


def _restart_key_changes(old: Config, new: Config) -> tuple[str, ...]:
    return tuple(
        f"{key} takes effect after a restart of the daemon"
        for key, of in _RESTART_KEYS
        if of(old) != of(new)
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{len(names)} cameras"
