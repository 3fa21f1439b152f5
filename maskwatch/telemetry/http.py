"""/metrics, /healthz and /readyz over HTTP.

Health and readiness are answered by callables of the owner, which must not block. A scrape never
holds up the owner: what is served is what the collector holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from maskwatch.telemetry.web import Reply, Request, WebServer

__all__ = ["Condition", "MetricsServer"]

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether all is well, and what is not, in words without secrets."""

    ok: bool
    detail: str


class MetricsServer(WebServer):
    """Serves from `start` to `stop`.

    `healthy` says whether the process works (else it should be restarted), `ready` whether it
    does what it is for (cameras watched, alerts delivered).

    Raises:
        PortInUseError: another program listens there.
        ConfigError: the address is not one of this machine, or needs a right we lack.
    """

    def __init__(
        self,
        host: str,
        port: int,
        collector: Collector,
        *,
        healthy: Callable[[], Condition],
        ready: Callable[[], Condition],
    ) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        super().__init__(host, port, _Pages(registry, healthy, ready), section="metrics")


class _Pages:
    """What is served."""

    methods: tuple[str, ...] = ("GET",)

    def __init__(
        self,
        registry: CollectorRegistry,
        healthy: Callable[[], Condition],
        ready: Callable[[], Condition],
    ) -> None:
        self._registry = registry
        self._healthy = healthy
        self._ready = ready

    def answer(self, request: Request) -> Reply:
        """Return a page."""
        match request.path:
            case "/metrics":
                encode, kind = choose_encoder(request.accept)
                return Reply(200, kind, encode(self._registry))
            case "/healthz":
                return _said(self._healthy())
            case "/readyz":
                return _said(self._ready())
            case _:
                return Reply(404, _TEXT, b"Here are /metrics, /healthz and /readyz.\n")


def _said(condition: Condition) -> Reply:
    return Reply(200 if condition.ok else 503, _TEXT, f"{condition.detail}\n".encode())
