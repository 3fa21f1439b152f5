"""Confinement of processes: namespaces, users, Landlock, seccomp, no_new_privs."""
