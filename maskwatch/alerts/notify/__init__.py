"""Notifications to people: rendering, transports, and the sink that sends them."""
