"""MQTT: topics, payloads, the connection, and the sink that publishes alerts and state."""
