"""A summary of a configuration in a few lines without secrets."""

from __future__ import annotations

from maskwatch.config.addresses import bracketed, stream_url
from maskwatch.config.schema import CameraConfig, ChannelConfig, Config, MqttConfig, StoreConfig


def summary(config: Config) -> str:
    """Return indented lines: node, cameras, destinations of alerts and metrics, retention."""
    metrics = config.metrics
    host = bracketed(metrics.host)
    port = f":{metrics.port}" if metrics.port else ", on a port of the system's choice"
    lines = [
        f"node      {config.node}, data in {config.data_dir}, sockets in {config.runtime_dir}",
        *(f"camera    {_camera(camera)}" for camera in config.cameras),
        f"alerts    {_alerts(config.mqtt)}",
        *(f"people    {_channel(channel)}" for channel in config.people),
        f"metrics   {f'http://{host}{port}' if metrics.enabled else 'not served'}",
        f"kept      {_kept(config.store)}",
    ]
    return "\n".join(f"  {line}" for line in lines)


def _camera(camera: CameraConfig) -> str:
    if not camera.enabled:
        return f"{camera.name}: disabled"
    zones = ", ".join(f"{zone.name} ({zone.rule.value})" for zone in camera.zones)
    area = f"zones {zones}" if zones else "the whole picture"
    return f"{camera.name}: {stream_url(camera)}, {camera.rate:g} frames/s, {area}"


def _alerts(mqtt: MqttConfig) -> str:
    if not mqtt.enabled:
        return "stored only"
    tls = " with TLS" if mqtt.tls else ""
    broker = f"{bracketed(mqtt.host)}:{mqtt.port}{tls}"
    return f"MQTT {mqtt.version.value} at {broker}, topics {mqtt.topic_prefix}/..."


def _channel(channel: ChannelConfig) -> str:
    if not (channel.url or channel.webhook):
        return f"{channel.name}: off, it has no address"
    sent = [word for word in ("violations", "incidents") if getattr(channel, word)]
    transport = "webhook" if channel.webhook else "Apprise"
    return f"{channel.name}: {' and '.join(sent) or 'nothing'} by {transport}"


def _kept(store: StoreConfig) -> str:
    kept = store.retention
    limit = f", {kept.max_megabytes} MiB at most" if kept.max_megabytes else ""
    return f"pictures {kept.pictures_days:g} days, violations {kept.violations_days:g} days{limit}"
