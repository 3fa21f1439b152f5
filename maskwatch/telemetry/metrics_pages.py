"""The pages for metrics and health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from maskwatch.telemetry.http import Request, Response

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """Whether a condition holds, and what is missing, in words without secrets."""

    ok: bool
    detail: str


class MetricsPages:
    """The site with /metrics, /healthz and /readyz.

    `healthy` returns whether the process works (else it should be restarted), `ready` whether
    cameras are watched and alerts delivered.
    """

    methods: tuple[str, ...] = ("GET",)

    def __init__(
        self,
        collector: Collector,
        *,
        healthy: Callable[[], HealthStatus],
        ready: Callable[[], HealthStatus],
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._healthy = healthy
        self._ready = ready

    def answer(self, request: Request) -> Response:
        match request.path:
            case "/metrics":
                encode, kind = choose_encoder(request.accept)
                return Response(200, kind, encode(self._registry))
            case "/healthz":
                return _status_page(self._healthy())
            case "/readyz":
                return _status_page(self._ready())
            case _:
                return Response(404, _TEXT, b"Here are /metrics, /healthz and /readyz.\n")


def _status_page(condition: HealthStatus) -> Response:
    return Response(200 if condition.ok else 503, _TEXT, f"{condition.detail}\n".encode())
