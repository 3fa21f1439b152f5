"""From frames to changes of violations: without I/O, deterministic, single-threaded."""
