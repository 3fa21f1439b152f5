"""Confinement of a worker process: Landlock, seccomp, no_new_privs."""
