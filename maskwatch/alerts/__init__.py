"""How a change reaches the world: MQTT topics and payloads, people."""
