"""Typed messages and the sockets that carry them between processes."""
