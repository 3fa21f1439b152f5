"""The parsed compose.yaml and the Dockerfile."""

from __future__ import annotations

from typing import Any

import yaml

from tests.deploy.queries import DEPLOY

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
