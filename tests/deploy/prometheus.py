"""A real Prometheus for one test."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

from maskwatch.lab.broker import free_port
from tests.deploy.queries import RULES, Query
from tests.fakes.waiting import wait_until

SHIPPED = RULES.read_text("utf-8")


class Prometheus:
    """The real Prometheus in its own directory, with the text of a rules file."""

    def __init__(self, directory: Path, target: str, rules: str = SHIPPED) -> None:
        directory.mkdir(exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        file = directory / "rules.yml"
        file.write_text(rules)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file)],
            "scrape_configs": [
                {"job_name": "maskwatch", "static_configs": [{"targets": [target]}]},
                {"job_name": "gone", "static_configs": [{"targets": ["127.0.0.1:1"]}]},
            ],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))
        command = [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--log.level=error",
        ]
        self._log = (directory / "prometheus.log").open("wb")
        self._process = subprocess.Popen(command, stderr=self._log)

    def ask(self, expr: str) -> list[dict[str, object]]:
        url = f"{self.url}/api/v1/query?query={urllib.parse.quote(expr)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[dict[str, object]] = json.loads(answer.read())["data"]["result"]
        return found

    def wait_ready(self) -> None:
        wait_until(self._is_ready, 30, "Prometheus is ready")

    def _is_ready(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


def empty(prometheus: Prometheus, queries: list[Query]) -> list[str]:
    """Return where the queries without any result are."""
    return [query.where for query in queries if not prometheus.ask(query.concrete())]
