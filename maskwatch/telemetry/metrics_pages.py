"""The pages for metrics and health."""

from __future__ import annotations

import threading
import time
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
    immediate: frozenset[str] = frozenset({"/healthz", "/readyz"})

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
        self._rendering = threading.Lock()
        self._rendered = (0.0, "", b"")  # when it was begun (monotonic), kind, text

    def answer(self, request: Request) -> Response:
        match request.path:
            case "/metrics":
                return self._metrics(request)
            case "/healthz":
                return _status_page(self._healthy())
            case "/readyz":
                return _status_page(self._ready())
            case _:
                return Response(404, _TEXT, b"Here are /metrics, /healthz and /readyz.\n")

    def _metrics(self, request: Request) -> Response:
        """Render one text at a time, for all requests of its kind that had arrived before."""
        encode, kind = choose_encoder(request.accept)
        with self._rendering:
            begun, rendered_kind, text = self._rendered
            if begun < request.arrived or rendered_kind != kind:
                begun = time.monotonic()
                text = encode(self._registry)
                self._rendered = begun, kind, text
        return Response(200, kind, text)


def _status_page(condition: HealthStatus) -> Response:
    return Response(200 if condition.ok else 503, _TEXT, f"{condition.detail}\n".encode())
