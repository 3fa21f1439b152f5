"""Measures how long a backlog of alerts takes to drain to a broker, and checks completeness and order.

    python -m bench.backlog                  # 10,000 alerts of 2,500 violations
    python -m bench.backlog --alerts 1000

The real database (synchronous, on this directory's file system), delivery, MQTT sink and Mosquitto;
an independent subscriber checks what arrives. The reference is paho alone, which publishes the same
messages from memory with the same window.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt

from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.sink import MqttSink
from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.alerts.sink import DeliveryOutcome, StateSnapshot
from maskwatch.clock import SystemClock
from maskwatch.config.schema import CameraConfig, Config, MqttConfig
from maskwatch.domain import Change
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.secrets import SecretUrl
from maskwatch.store.store import Store
from maskwatch.telemetry.meter import Meter
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.samples import change, entry, make_store

PER_VIOLATION = 4
WINDOW = 20


def changes(alerts: int) -> Iterator[Change]:
    """Yield the changes of as many violations as are needed."""
    for index in range(alerts // PER_VIOLATION):
        for number in range(1, PER_VIOLATION + 1):
            yield change(index + 1, number, closed=number == PER_VIOLATION)


def fill(store: Store, alerts: int) -> None:
    """Record everything, some hundred changes in a transaction."""
    entries = [entry(each) for each in changes(alerts)]
    for start in range(0, len(entries), 500):
        store.changes.record(entries[start : start + 500])


def drain(store: Store, config: Config) -> float:
    """Deliver the whole outbox as the recorder does; return the seconds it took."""
    delivery = OutboxDelivery(MqttSink(config), UnstoredBuffer(), clock=SystemClock(), meter=Meter())
    reported = threading.Event()

    def report(outcome: DeliveryOutcome) -> None:
        delivery.report(outcome)
        reported.set()

    delivery.sink.start(report, lambda: StateSnapshot((), (), (), {}), lambda _: None)
    while not delivery.sink.ready:
        time.sleep(0.01)
    began = time.perf_counter()
    while store.outbox.backlog("mqtt").pending:
        reported.wait(0.05)
        reported.clear()
        delivery.collect()
        delivery.write(store)
        delivery.send_due(store)
    seconds = time.perf_counter() - began
    delivery.sink.stop(5)
    return seconds


def publish_alone(port: int, alerts: int) -> float:
    """Publish the same messages by paho from memory; return the seconds until all are acknowledged."""
    builder = MessageBuilder(Topics("peer", "bench"), "bench")
    messages = [builder.violation(each, stored=True, picture=None) for each in changes(alerts)]
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    client.connect("127.0.0.1", port)
    client.loop_start()
    began = time.perf_counter()
    sent = [client.publish(each.topic, each.payload, qos=1) for each in messages]
    for each in sent:
        each.wait_for_publish(120)
    seconds = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return seconds


def faults(listener: Listener, alerts: int) -> list[str]:
    """Return the faults in what arrived: missing alerts, and alerts out of order."""
    seen: dict[str, int] = {}
    arrived = set()
    wrong = []
    for message in listener.messages:
        alert = json.loads(message.payload)
        arrived.add(alert["alert_id"])
        if alert["number"] < seen.get(alert["id"], 0):
            wrong.append(f"out of order: {alert['alert_id']}")
        seen[alert["id"]] = alert["number"]
    if len(arrived) != alerts:
        wrong.append(f"{alerts} were recorded, {len(arrived)} different ones arrived")
    return wrong


def main() -> int:
    """Fill, drain, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alerts", type=int, default=10_000)
    alerts = parser.parse_args().alerts // PER_VIOLATION * PER_VIOLATION
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        broker = Mosquitto(Path(folder))
        broker.start()
        listener = Listener(broker.port, "maskwatch/bench/camera/+/violation")
        store = make_store(Path(folder) / "data")
        fill(store, alerts)
        camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
        mqtt_config = MqttConfig(port=broker.port, window=WINDOW)
        config = Config(node="bench", cameras=(camera,), mqtt=mqtt_config, data_dir=folder)
        seconds = drain(store, config)
        listener.wait(lambda messages: len(messages) >= alerts, 10)
        alone = publish_alone(broker.port, alerts)
        wrong = faults(listener, alerts)
        listener.close()
        store.close()
        broker.stop()
    print(f"{alerts} alerts drained in {seconds:.1f} s, {alerts / seconds:.0f} a second")
    print(f"paho alone, from memory: {alone:.1f} s; ratio {seconds / alone:.1f}")
    print(f"arrived {len(listener.messages)}; " + ("; ".join(wrong[:5]) or "none lost, all in order"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
