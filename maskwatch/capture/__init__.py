"""Frames from cameras and files: sources, reconnection, health."""
