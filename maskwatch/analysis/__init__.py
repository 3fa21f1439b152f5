"""From a frame to changes of violations: pure of I/O, deterministic, single-threaded."""
