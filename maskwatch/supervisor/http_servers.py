"""The daemon's HTTP servers, which follow the configuration: metrics, and the acknowledge page."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from maskwatch.config.diff import Difference
from maskwatch.config.schema import Config
from maskwatch.errors import MaskwatchError
from maskwatch.supervisor.readiness import Readiness
from maskwatch.telemetry.collector import Collector
from maskwatch.telemetry.http import WebServer
from maskwatch.telemetry.metrics_pages import MetricsPages


class ConfiguredServer(ABC):
    """An HTTP server at the configured address, or none while it is disabled."""

    def __init__(self) -> None:
        self._server: WebServer | None = None
        self._served: Config | None = None

    @property
    def url(self) -> str:
        """The server's address, "" without a server."""
        return self._server.url if self._server else ""

    def serve(self, config: Config) -> None:
        """Serve at the address of `config` from now on.

        Raises:
            PortInUseError, ConfigError: that is impossible; the former server continues.
        """
        former = self._served
        same_port = self._server is not None and self._server.port == self._port(config)
        if same_port:  # of one port, two addresses cannot be served at the same time
            self.stop()
        try:
            server = self._start(config)
        except MaskwatchError:
            if same_port and former is not None:
                self._server = self._start(former)
            raise
        self.stop()
        self._server, self._served = server, config

    async def serve_first(self, config: Config) -> None:
        """Serve at the address of `config`, unless another configuration is served already.

        The address is opened in a thread, since its host name may have to be resolved.

        Raises:
            PortInUseError, ConfigError: that is impossible; the cause may be temporary.
        """
        server = await asyncio.to_thread(self._start, config)
        if self._served is None:
            self._server, self._served = server, config
        elif server is not None:
            server.stop()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _start(self, config: Config) -> WebServer | None:
        server = self._create(config)
        try:
            if server is not None:
                server.start()
        except (OSError, RuntimeError):  # no descriptor is free, or no thread can be started
            if server is not None:
                server.stop()
            raise
        return server

    @abstractmethod
    def _port(self, config: Config) -> int:
        """Return the configured port."""

    @abstractmethod
    def _create(self, config: Config) -> WebServer | None:
        """Return the configured server, None if it is disabled."""


class MetricsEndpoint(ConfiguredServer):
    """Serves /metrics, /healthz and /readyz."""

    def __init__(self, collector: Collector, readiness: Readiness) -> None:
        super().__init__()
        self._collector = collector
        self._readiness = readiness

    def _port(self, config: Config) -> int:
        return config.metrics.port

    def _create(self, config: Config) -> WebServer | None:
        metrics = config.metrics
        if not metrics.enabled:
            return None
        pages = MetricsPages(
            self._collector, healthy=self._readiness.healthy, ready=self._readiness.ready
        )
        return WebServer(metrics.host, metrics.port, pages, section="metrics")


class HttpServers:
    """The metrics endpoint and the acknowledge page, which are moved together."""

    def __init__(self, metrics: ConfiguredServer, ack_page: ConfiguredServer) -> None:
        self._metrics = metrics
        self._ack_page = ack_page

    @property
    def metrics_url(self) -> str:
        """The address of the metrics, "" if they are not served."""
        return self._metrics.url

    def by_section(self) -> dict[str, ConfiguredServer]:
        """Return the servers by the section of the configuration that has their address."""
        return {"metrics": self._metrics, "links": self._ack_page}

    def move(self, changes: Difference, old: Config, new: Config) -> None:
        """Serve at the new addresses; if that is impossible for one, both stay at the old ones.

        Raises:
            PortInUseError, ConfigError: that is so.
        """
        if changes.links:
            self._ack_page.serve(new)
        try:
            if changes.metrics:
                self._metrics.serve(new)
        except MaskwatchError:
            self._ack_page.serve(old)
            raise

    def stop_ack_page(self) -> None:
        """Accept no more acknowledgements."""
        self._ack_page.stop()

    def stop(self) -> None:
        self._ack_page.stop()
        self._metrics.stop()
