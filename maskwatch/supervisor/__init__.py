"""PROCESS: starts, watches, restarts and stops the others."""
