"""Benchmarks, each one command: `python -m bench.NAME`. Most report ratios to a reference."""
