"""Frames from cameras and files: sources, reconnection, health.

`LiveCamera` (in `camera`) is what a worker reads; `FileSource` (in `file`) what a replay reads.
Nothing is imported here, so that a process which needs one of them does not load the libraries of
the others.
"""
