"""PROCESS: one camera, from capture to recorded change."""
