"""A worker's token authenticates one camera in one run of the daemon."""

from __future__ import annotations

from maskwatch.ipc.worker_tokens import is_worker_token, worker_token
from maskwatch.secrets import Secret

KEY = Secret("the key of this run")


def test_a_token_is_valid_for_its_camera_and_run_only() -> None:
    token = worker_token(KEY, "door").reveal()
    assert is_worker_token(token, KEY, "door")
    assert not is_worker_token(token, KEY, "gate")
    assert not is_worker_token(token, Secret("the key of another run"), "door")
    assert not is_worker_token("", KEY, "door")
    assert not is_worker_token("\u00e9", KEY, "door")
