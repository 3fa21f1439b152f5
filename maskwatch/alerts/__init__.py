"""Alerts: the sinks that deliver changes, to MQTT brokers and to people."""
