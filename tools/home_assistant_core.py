"""Runs the core of Home Assistant with its MQTT integration; run by tools.try_home_assistant.

It needs its own Python environment (see there); its arguments are a folder and a broker's port. After
the first alert it writes one JSON line per entity, operates the controls, and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from homeassistant import config_entries, core, loader
from homeassistant.helpers import (
    area_registry,
    device_registry,
    entity,
    entity_registry,
    floor_registry,
    issue_registry,
    label_registry,
    restore_state,
    template,
    translation,
)

ACTIONS = (
    ("switch", "turn_off", "switch.front_door_enabled", {}),
    ("number", "set_value", "number.front_door_snooze", {"value": 15}),
    ("button", "press", "button.front_door_take_snapshot", {}),
    ("button", "press", "button.maskwatch_gate_1_reload_configuration", {}),
)


class FakeHttp:
    """Replaces the web server, with which the image platform registers its views."""

    def register_view(self, view: object) -> None:
        """Ignore the view."""


async def home(folder: str, port: int) -> core.HomeAssistant:
    """Return a core that is connected to the broker."""
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.http = FakeHttp()
    hass.config.components.update({"http", "file_upload"})
    for module in (loader, entity, template, translation):
        module.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await hass.config_entries.async_initialize()
    registries = (area_registry, device_registry, entity_registry, issue_registry, restore_state)
    for registry in (*registries, label_registry, floor_registry):
        await registry.async_load(hass)
    data = {"broker": "127.0.0.1", "port": port, "discovery": True}
    entry = config_entries.ConfigEntry(
        version=1,
        minor_version=2,
        domain="mqtt",
        title="mqtt",
        data=data,
        source="user",
        options={},
        unique_id=None,
    )
    await hass.config_entries.async_add(entry)
    return hass


async def main(folder: str, port: int) -> None:
    """Wait for an alert, write the states, and operate all controls."""
    hass = await home(folder, port)
    while not any(state.state == "blind" for state in hass.states.async_all()):
        await asyncio.sleep(0.2)
    await asyncio.sleep(1)
    for state in hass.states.async_all():
        sys.stdout.write(json.dumps({"entity": state.entity_id, "state": state.state}) + "\n")
    for domain, service, target, data in ACTIONS:
        await hass.services.async_call(domain, service, {"entity_id": target, **data}, blocking=True)
    await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2])), 60))
