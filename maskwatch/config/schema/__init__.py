"""Every key of the configuration file: type, unit, default, description.

The loader, the JSON Schema, docs/configuration.md and config.example.yaml are all made from it.
"""

from maskwatch.config.schema.alerts import ChannelConfig, LinksConfig, MqttConfig, MqttVersion
from maskwatch.config.schema.cameras import (
    CameraAuth,
    CameraConfig,
    DecisionConfig,
    FaceSearch,
    Pictures,
    Schedule,
    Transport,
    Weekday,
    ZoneConfig,
    ZoneRule,
)
from maskwatch.config.schema.daemon import (
    Config,
    LogConfig,
    LogFormat,
    MetricsConfig,
    RetentionConfig,
    StoreConfig,
    SupervisionConfig,
)

__all__ = [
    "CameraAuth",
    "CameraConfig",
    "ChannelConfig",
    "Config",
    "DecisionConfig",
    "FaceSearch",
    "LinksConfig",
    "LogConfig",
    "LogFormat",
    "MetricsConfig",
    "MqttConfig",
    "MqttVersion",
    "Pictures",
    "RetentionConfig",
    "Schedule",
    "StoreConfig",
    "SupervisionConfig",
    "Transport",
    "Weekday",
    "ZoneConfig",
    "ZoneRule",
]
