"""Benchmarks, each one command: `python -m bench.NAME`. Figures are ratios against a peer run beside."""
